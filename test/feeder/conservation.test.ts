/**
 * After every fault: every event is accounted for, by the metrics of those who counted it and by what is really there.
 *
 *     pushed = queued + spilled + dropped        (producer)
 *     written to Redis = removed + waiting       (Redis)
 *     taken = uploaded + dead-lettered + returned + held   (feeder)
 *     queued = uploaded + dead-lettered + waiting          (all together)
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { TrackingEvent } from '../../lib/event/event.ts'
import { partitionKeys } from '../../lib/queue/partition.ts'
import { closeAll, hooks, metric, newEvent, openProducer } from '../queue/queue-under-test.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { startIngestEndpoint } from '../support/ingest-endpoint.ts'
import { until } from '../support/process.ts'
import { partitions, type Rig, type RunningFeeder, setUp } from './rig.ts'

let rig: Rig
let ours: ReturnType<typeof hooks>
let producer: Awaited<ReturnType<typeof openProducer>>
beforeEach(async () => {
  rig = await setUp()
  ours = hooks(rig.redis.url)
  producer = await openProducer(ours)
})
afterEach(async () => {
  await closeAll()
  await rig.stop()
})

const options = ['--batch-bytes=20kB', '--request-timeout=1s', '--lease=2s']

/** Pushes events that are good to be sent; yields them. */
async function pushed(count: number, more: object = {}): Promise<TrackingEvent[]> {
  const events = Array.from({ length: count }, () => ({ ...newEvent(), at: Date.now(), ...more }))
  await Promise.all(events.map(event => producer.push(event)))
  return events
}

/** Entries that were ever written to the streams; Redis counts them, those that it told nobody of too. */
async function written(): Promise<number> {
  const counts = await Promise.all(
    Array.from({ length: partitions }, async (_, p) => {
      const fields = (await rig.redis.client.xinfo('STREAM', partitionKeys(p).events)) as unknown[]
      return Number(fields[fields.indexOf('entries-added') + 1])
    }),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

async function waitingIds(): Promise<string[]> {
  const lists = await Promise.all(
    Array.from({ length: partitions }, (_, p) => rig.redis.client.xrange(partitionKeys(p).events, '-', '+')),
  )
  return lists.flat().map(([, fields]) => (JSON.parse(fields[1] ?? '') as TrackingEvent).id)
}

/** What became of all that was pushed so far, once `waiting` of it are left in the queue and nothing moves any more. */
async function expectConserved(waiting: number, feeder?: RunningFeeder): Promise<void> {
  await until('the spill to be drained', async () => (await metric(ours.metrics, 'test_spill_events')) === 0, 20_000)
  await until(`${waiting} to be left in the queue`, async () => (await rig.waiting()) === waiting, 20_000)
  const value = (outcome: string) => metric(ours.metrics, 'test_events_pushed_total', { outcome })
  const [queued, spilled, dropped] = await Promise.all([value('queued'), value('spilled'), value('dropped')])
  const { outcomes, safe } = producer
  assert.deepEqual({ queued, spilled, dropped }, outcomes)
  await until('it to be counted', async () => (await metric(ours.metrics, 'test_spill_drained_total')) === spilled)
  // What timed out and was executed all the same is there twice, with one id.
  const entries = await written()
  assert.ok(entries >= queued + spilled, `${entries} entries of ${queued + spilled} events`)

  // Each event is in one place at least, and nothing is anywhere that was not pushed.
  const letters = await rig.deadLetters()
  const places = new Set([
    ...rig.endpoint.ledger.keys(),
    ...letters.map(({ event }) => event?.id ?? ''),
    ...(await waitingIds()),
  ])
  assert.deepEqual([...places].toSorted(), [...safe.keys()].toSorted())
  if (!feeder) return

  // By the metrics of a feeder that has lived through it all.
  const held = () => feeder.metric('feeder_events_held')
  await until('nothing to be under way but what waits', async () => (await held()) <= waiting)
  const [taken, uploaded, dead, returned] = await Promise.all(
    ['taken', 'uploaded', 'dead_lettered', 'returned'].map(name => feeder.metric(`feeder_events_${name}_total`)),
  )
  assert.equal(taken, uploaded! + dead! + returned! + (await held()), 'taken by the feeder')
  assert.equal(entries, uploaded! + dead! + waiting, 'written = uploaded + dead-lettered + waiting')
  assert.equal(dead, letters.length)
}

test('without any fault', async () => {
  const feeder = await rig.feeder(options)
  await pushed(500)
  await expectConserved(0, feeder)
  assert.ok([...rig.endpoint.ledger.values()].every(times => times === 1))
})

test('feeder killed', async () => {
  await pushed(600)
  rig.endpoint.answer = () => ({ status: 200, delayMs: 50 })
  const feeder = await rig.feeder(options)
  await until('an upload', () => rig.endpoint.ledger.size > 0)
  feeder.kill('SIGKILL')
  await feeder.exited
  await expectConserved(await rig.waiting())
  await rig.feeder(options)
  await expectConserved(0)
})

test('Redis killed', async () => {
  const feeder = await rig.feeder(options)
  await pushed(200)
  await rig.redis.kill('SIGKILL')
  await pushed(200)
  await rig.redis.restart()
  await pushed(200)
  await expectConserved(0, feeder)
})

test('Redis frozen, for longer than the lease', async () => {
  rig.endpoint.answer = () => ({ status: 200, delayMs: 300 })
  const feeder = await rig.feeder(options)
  await pushed(300)
  await until('an upload', () => rig.endpoint.requests.length > 0)
  await rig.redis.kill('SIGSTOP')
  await pushed(100)
  await until('health to say so', async () => (await feeder.health()).reasons['queue'] !== undefined, 20_000)
  await rig.redis.kill('SIGCONT')
  await expectConserved(0, feeder)
})

test('answers of Redis lost', async () => {
  const proxy = await startFaultProxy(rig.redis.port)
  try {
    const feeder = await rig.feeder([...options, `--redis-url=redis://127.0.0.1:${proxy.port}`])
    for (const command of ['xreadgroup', 'mget', 'xdel', 'xack']) {
      const lost = proxy.loseAnswerTo(command)
      await pushed(100)
      await lost
      await expectConserved(0, feeder)
    }
  } finally {
    await proxy.close()
  }
})

test('answers to the producer lost', async () => {
  const proxy = await startFaultProxy(rig.redis.port)
  try {
    ours = hooks(`redis://127.0.0.1:${proxy.port}`)
    producer = await openProducer(ours)
    const feeder = await rig.feeder(options)
    await pushed(50)
    const lost = proxy.loseAnswerTo('xadd')
    await pushed(100)
    await lost
    await expectConserved(0, feeder)
    // Written, and written again from the spill: each event twice in the queue, once by its id.
    assert.ok((await written()) > 150)
    assert.equal(rig.endpoint.ledger.size, 150)
  } finally {
    await proxy.close()
  }
})

test('API down, and back', async () => {
  const { port } = rig.endpoint
  await rig.endpoint.close()
  const feeder = await rig.feeder(options)
  await pushed(200)
  await until('health to say so', async () => (await feeder.health()).reasons['upload'] !== undefined, 20_000)
  await expectConserved(200, feeder)
  const again = await startIngestEndpoint(port)
  try {
    feeder.kill('SIGHUP')
    await until('all to arrive', () => again.ledger.size === 200, 20_000)
    await until('the queue to be empty', async () => (await rig.waiting()) === 0)
    assert.equal(await feeder.metric('feeder_events_uploaded_total'), 200)
    assert.deepEqual([...again.ledger.keys()].toSorted(), [...producer.safe.keys()].toSorted())
  } finally {
    await again.close()
  }
})

test('API answering each code', async () => {
  const feeder = await rig.feeder(options)
  const kept = [301, 307, 401, 403, 404, 405, 418]
  const again = [408, 420, 425, 429, 500, 502, 503, 504]
  const refused = [400, 409, 422]
  for (const status of [...kept, ...again, ...refused, 413]) {
    const before = rig.endpoint.requests.length
    const isFor = (poison: string) => (events: readonly { fields: object }[]) =>
      events.some(({ fields }) => JSON.stringify(fields).includes(poison))
    if (refused.includes(status)) {
      const isPoisoned = isFor('/poison')
      rig.endpoint.answer = ({ events }) => (isPoisoned(events) ? { status } : undefined)
      await pushed(1, { url: 'https://example.com/poison' })
    } else if (status === 413) {
      rig.endpoint.answer = ({ events }) => (events.length > 10 ? { status } : undefined)
    } else rig.endpoint.answer = () => ({ status })
    await pushed(40)
    await until(`an answer ${status}`, () => rig.endpoint.requests.length > before)
    if (kept.includes(status) || again.includes(status)) {
      await expectConserved(40, feeder)
      rig.endpoint.answer = () => undefined
      feeder.kill('SIGHUP')
    }
    await expectConserved(0, feeder)
  }
  assert.equal((await rig.deadLetters()).length, refused.length)
})
