import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import pino from 'pino'
import { Registry } from 'prom-client'
import { Health } from '../../process/health.ts'
import type { MessageRecord } from '../../record/record.ts'
import type { TrackingEvent } from '../event.ts'
import { DeadLettersFull } from './dead-letters.ts'
import type { BatchStatus, EventDestination, OutgoingEvent } from './event-destination.ts'
import type { SourceEntry } from './event-source.ts'
import { Feeder, type FeederLimits, type HeldEvent, tooOldReason } from './feeder.ts'
import type { Clock } from './upload-gate.ts'
import { Uploader } from './uploader.ts'

/** Time that passes, in steps, as soon as nothing else happens. */
class SteppingClock implements Clock {
  timeMs = 1_000_000_000
  /** How far the clock of the machine was set. */
  setMs = 0
  now = () => this.timeMs + this.setMs
  elapsed = () => this.timeMs
  wait = async (ms: number, signal: AbortSignal) => {
    const until = this.timeMs + ms
    while (this.timeMs < until && !signal.aborted) {
      await new Promise<void>(resolve => setImmediate(resolve))
      this.timeMs += Math.min(250, Math.max(1, until - this.timeMs))
    }
  }
}

interface World {
  readonly events: readonly TrackingEvent[]
  readonly records?: ReadonlyMap<string, MessageRecord>
  /** Asked for every request. */
  readonly answer?: (ids: readonly string[]) => number | 'cut'
  readonly takeFails?: () => boolean
  readonly doneFails?: () => boolean
  readonly recordsFail?: () => boolean
  /** Told how many letters are to be written. */
  readonly dead?: (count: number) => 'full' | 'broken' | 'ok'
  readonly status?: (id: string, abandon: AbortSignal) => BatchStatus | Promise<BatchStatus>
  readonly limits?: Partial<FeederLimits>
}

function setUp(world: World) {
  const clock = new SteppingClock()
  const log = pino({ level: 'silent' })
  const health = new Health()
  const metrics = new Registry()
  const queue = new Map<string, SourceEntry>()
  const untaken: SourceEntry[] = world.events.map((event, n) => {
    const entry = { partition: 0, entryId: String(n), event, raw: JSON.stringify(event), isRepeat: false }
    queue.set(entry.entryId, entry)
    return entry
  })
  const received: string[] = []
  const requests: string[][] = []
  const letters: { reason: string; id: string }[] = []
  let batches = 0
  const destination: EventDestination = {
    name: 'test',
    url: 'http://127.0.0.1/',
    line: (event, record) => {
      if (event.id === 'formless') throw new Error('no form')
      return JSON.stringify({ id: event.id, rcpt: record?.recipient })
    },
    eventAgeMsMax: undefined,
    encode: async (items: readonly OutgoingEvent[]) => ({
      body: Buffer.from(`[${items.map(item => item.line).join(',')}]`),
      headers: {},
      rawBytes: 1,
    }),
    credentials: () => ({}),
    reloadCredentials: async () => false,
    readAnswer: () => ({ batchId: `b${batches++}` }),
    ...(world.status && {
      batchStatus: async (id, _, abandon) => (await world.status?.(id, abandon)) ?? { state: 'accepted' },
    }),
  }
  const transport = {
    send: async ({ body }: { body?: Uint8Array }) => {
      await Promise.resolve()
      const ids = (JSON.parse(Buffer.from(body ?? []).toString()) as { id: string }[]).map(({ id }) => id)
      requests.push(ids)
      const status = world.answer?.(ids) ?? 200
      if (status === 'cut') throw new Error('cut')
      if (status === 200) received.push(...ids)
      return { status, headers: {}, body: '' }
    },
    close: async () => undefined,
  }
  const limits = {
    batchBytes: 2_000,
    batchAgeMs: 5_000,
    recordWaitMs: 0,
    uploadsMax: 2,
    eventAgeMsMax: 86_340_000,
    ...world.limits,
  }
  const uploader = new Uploader<HeldEvent>({
    destination,
    transport,
    log,
    health,
    metrics,
    prefix: 'feeder',
    giveUp: (item, now) => (now - item.at > limits.eventAgeMsMax ? tooOldReason(limits.eventAgeMsMax) : undefined),
    clock,
    random: () => 0.5,
  })
  const feeder = new Feeder({
    source: {
      take: async (max, waitMs) => {
        if (world.takeFails?.()) throw new Error('away')
        if (untaken.length === 0) await clock.wait(waitMs, new AbortController().signal)
        return untaken.splice(0, Math.min(max, 7))
      },
      done: async entries => {
        if (world.doneFails?.()) throw new Error('away')
        for (const { entryId } of entries) queue.delete(entryId)
      },
    },
    records: {
      getMany: async ids => {
        if (world.recordsFail?.()) throw new Error('away')
        return new Map(ids.flatMap(id => (world.records?.has(id) ? [[id, world.records.get(id) ?? {}]] : [])))
      },
    },
    destination,
    uploader,
    transport,
    deadLetters: {
      append: async added => {
        const how = world.dead?.(added.length) ?? 'ok'
        if (how === 'full') throw new DeadLettersFull('full')
        if (how === 'broken') throw new Error('EIO')
        for (const { reason, raw } of added) letters.push({ reason, id: (JSON.parse(raw) as { id: string }).id })
      },
    },
    limits,
    verify: world.status !== undefined,
    log,
    health,
    metrics,
    clock,
  })
  const emptied = async () => {
    const running = feeder.run()
    while (queue.size > 0) await new Promise<void>(resolve => setImmediate(resolve))
    await feeder.stop()
    await running
  }
  return { feeder, clock, health, queue, received, requests, letters, emptied }
}

const clockStart = 1_000_000_000

function event(id: string, ageMs = 0, more: Partial<TrackingEvent> = {}): TrackingEvent {
  return { id, type: 'open', messageId: `m${id}`, at: clockStart - ageMs, ...more }
}

test('a batch goes out at its age under constant traffic', async () => {
  const events = Array.from({ length: 50 }, (_, n) => event(String(n)))
  const { emptied, requests, clock } = setUp({ events, limits: { batchBytes: 1e6, batchAgeMs: 5_000 } })
  await emptied()
  assert.equal(requests.length, 1)
  assert.ok(clock.timeMs - clockStart >= 5_000 && clock.timeMs - clockStart < 7_000)
})

test('batches stay within their size', async () => {
  const events = Array.from({ length: 400 }, (_, n) => event(String(n)))
  const { emptied, requests, received } = setUp({ events, limits: { batchBytes: 500 } })
  await emptied()
  for (const ids of requests) assert.ok(ids.reduce((sum, id) => sum + id.length + 10, 0) <= 500)
  assert.equal(received.length, 400)
})

test('an event near the bound of its age goes first and does not wait for its record', async () => {
  const events = [event('young'), event('old', 86_000_000)]
  const { emptied, requests } = setUp({ events, limits: { recordWaitMs: 60_000 } })
  await emptied()
  assert.deepEqual(requests, [['old'], ['young']])
})

test('an event that grows too old while the service is away goes to the dead letters', async () => {
  const events = [event('a', 86_000_000), event('b')]
  const { emptied, letters, received, clock } = setUp({
    events,
    answer: () => (clock.timeMs < clockStart + 600_000 ? 503 : 200),
  })
  await emptied()
  assert.deepEqual(letters, [{ id: 'a', reason: 'older than 24 hours, which the service drops' }])
  assert.deepEqual(received, ['b'])
})

test('events wait for records that have not come, however long the store is away, but not longer than they may', async () => {
  const records = new Map<string, MessageRecord>()
  let isAway = true
  const { emptied, requests, clock, feeder } = setUp({
    events: [event('1'), event('2', 50_000), event('3', 70_000)],
    records,
    recordsFail: () => isAway,
    limits: { recordWaitMs: 60_000, batchAgeMs: 0 },
  })
  const settled = emptied()
  while (requests.length < 2) await new Promise<void>(resolve => setImmediate(resolve))
  assert.deepEqual(requests, [['3'], ['2']])
  assert.ok(clock.timeMs - clockStart >= 10_000)
  isAway = false
  records.set('m1', { recipient: 'a@b' })
  await settled
  assert.ok(clock.timeMs - clockStart < 60_000)
  assert.equal(feeder.totals().withoutRecord, 2)
})

test('a clock that is set back or ahead holds up neither batches nor those that wait for records', async () => {
  for (const setMs of [-3 * 3_600_000, 3 * 3_600_000]) {
    const { emptied, requests, clock, feeder, queue } = setUp({
      events: [event('waits'), event('complete')],
      records: new Map([['mcomplete', { recipient: 'a@b' }]]),
      limits: { recordWaitMs: 60_000, batchAgeMs: 30_000 },
    })
    const settled = emptied()
    while (feeder.totals().held < 2) await new Promise<void>(resolve => setImmediate(resolve))
    clock.setMs = setMs
    const times = new Map<string, number>()
    while (times.size < 2 && clock.timeMs - clockStart < 200_000) {
      for (const id of requests.flat()) if (!times.has(id)) times.set(id, clock.timeMs - clockStart)
      await new Promise<void>(resolve => setImmediate(resolve))
    }
    queue.clear()
    await settled
    const complete = times.get('complete') ?? Infinity
    const waits = times.get('waits') ?? Infinity
    assert.ok(complete >= 30_000 && complete < 33_000, `${setMs} ms: sent after ${complete} ms`)
    assert.ok(waits >= 60_000 && waits < 100_000, `${setMs} ms: sent after ${waits} ms`)
  }
})

test('an unverified batch is given up after ten minutes, whatever the clock is set to', async () => {
  const { emptied, clock, feeder, queue } = setUp({ events: [event('1')], status: () => ({ state: 'unknown' }) })
  const settled = emptied()
  while (clock.timeMs - clockStart < 60_000) await new Promise<void>(resolve => setImmediate(resolve))
  clock.setMs = -3 * 3_600_000
  while (feeder.totals().uploaded === 0 && clock.timeMs - clockStart < 700_000) {
    await new Promise<void>(resolve => setImmediate(resolve))
  }
  const tookMs = clock.timeMs - clockStart
  queue.clear()
  await settled
  assert.ok(tookMs >= 600_000 && tookMs < 700_000, `given up after ${tookMs} ms`)
})

test('a stop gives up questions for batches that are never answered; those stay in the queue', async () => {
  const asked: string[] = []
  const { feeder, queue, received, clock } = setUp({
    events: [event('1'), event('2')],
    limits: { batchBytes: 1, uploadsMax: 1 },
    status: async (id, abandon) => {
      asked.push(id)
      if (!abandon.aborted) await new Promise<void>(resolve => abandon.addEventListener('abort', () => resolve()))
      return { state: 'unknown' }
    },
  })
  const running = feeder.run()
  while (asked.length === 0) await new Promise<void>(resolve => setImmediate(resolve))
  const stoppedMs = clock.timeMs
  await feeder.stop()
  await running
  assert.ok(clock.timeMs - stoppedMs < 6_000, `ended after ${clock.timeMs - stoppedMs} ms`)
  assert.deepEqual(received, ['1', '2'])
  assert.equal(queue.size, 2)
  const { taken, returned } = feeder.totals()
  assert.deepEqual({ taken, returned }, { taken: 2, returned: 2 })
})

test('a stop waits a little for the word on batches, and counts those that are accepted', async () => {
  let stoppedMs = Infinity
  const { feeder, queue, clock, requests } = setUp({
    events: [event('1'), event('2')],
    status: () => ({ state: clock.timeMs > stoppedMs + 1_000 ? 'accepted' : 'unknown' }),
  })
  const running = feeder.run()
  // By then it asks every 10 s.
  while (clock.timeMs - clockStart < 60_000) await new Promise<void>(resolve => setImmediate(resolve))
  stoppedMs = clock.timeMs
  await feeder.stop()
  await running
  assert.ok(clock.timeMs - stoppedMs < 6_000, `ended after ${clock.timeMs - stoppedMs} ms`)
  assert.equal(queue.size, 0)
  assert.equal(requests.length, 1)
})

test('a batch that the service loses again and again ends in the dead letters', async () => {
  const { emptied, letters, requests } = setUp({
    events: [event('1')],
    status: () => ({ state: 'retryable', reason: 'system' }),
  })
  await emptied()
  assert.equal(requests.length, 6)
  assert.match(letters[0]?.reason ?? '', /lost by the service after acceptance, 6 times/)
})

test('nothing is taken while dead letters find no room', async () => {
  let isFull = true
  const events = Array.from({ length: 2_000 }, (_, n) => event(String(n), 90_000_000))
  const { emptied, feeder, health, letters } = setUp({ events, dead: () => (isFull ? 'full' : 'ok') })
  const settled = emptied()
  while (health.report().status === 'ok') await new Promise<void>(resolve => setImmediate(resolve))
  for (let turn = 0; turn < 200; turn++) await new Promise<void>(resolve => setImmediate(resolve))
  assert.ok(feeder.totals().held < 200, `${feeder.totals().held} are held`)
  isFull = false
  await settled
  assert.equal(letters.length, 2_000)
})

test('large dead letters are written a few at a time, so that those for which there is room find it', async () => {
  const events = Array.from({ length: 7 }, (_, n) => event(String(n), 90_000_000, { linkName: 'x'.repeat(300_000) }))
  let room = 5
  const { feeder, health, queue } = setUp({
    events,
    dead: count => {
      if (count > room) return 'full'
      room -= count
      return 'ok'
    },
  })
  const running = feeder.run()
  while (health.report().status === 'ok') await new Promise<void>(resolve => setImmediate(resolve))
  assert.deepEqual([...queue.keys()], ['4', '5', '6'])
  await feeder.stop()
  await running
  const { taken, deadLettered, returned, held } = feeder.totals()
  assert.deepEqual({ taken, deadLettered, returned, held }, { taken: 7, deadLettered: 4, returned: 3, held: 0 })
})

test('whatever fails, every event has one end, nothing leaves the queue before it, and the counters conserve', async () => {
  const chance = fc.infiniteStream(fc.integer({ min: 0, max: 99 }))
  await fc.assert(
    fc.asyncProperty(
      chance,
      fc.integer({ min: 1, max: 120 }),
      fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined }),
      fc.integer({ min: 0, max: 40 }),
      async (stream, count, stopAfter, badness) => {
        const roll = () => (stream.next().value as number) < badness
        const events = Array.from({ length: count }, (_, n) => {
          if (n % 31 === 7) return event('formless')
          return n % 23 === 5 ? event(String(n), 90_000_000) : event(String(n))
        }).map((one, n) => ({ ...one, messageId: `m${n}` }))
        let turns = 0
        const { feeder, queue, received, letters } = setUp({
          events,
          answer: ids => {
            if (roll()) return [500, 429, 413, 400, 'cut' as const][turns++ % 5] ?? 500
            return ids.some(id => id.endsWith('9')) ? 422 : 200
          },
          takeFails: roll,
          doneFails: roll,
          recordsFail: roll,
          dead: () => (roll() ? 'full' : roll() ? 'broken' : 'ok'),
        })
        const running = feeder.run()
        for (let turn = 0; queue.size > 0 && turn < (stopAfter ?? Infinity); turn++) {
          await new Promise<void>(resolve => setImmediate(resolve))
          const { taken, uploaded, deadLettered, returned, held } = feeder.totals()
          assert.equal(taken, uploaded + deadLettered + returned + held)
        }
        await feeder.stop()
        await running
        const totals = feeder.totals()
        assert.equal(totals.held, 0)
        assert.equal(totals.taken, totals.uploaded + totals.deadLettered + totals.returned)
        const ended = new Set([...received, ...letters.map(({ id }) => id)])
        const left = new Set(Array.from(queue.values(), ({ event }) => event?.id))
        for (const { id } of events) assert.ok(ended.has(id) || left.has(id), `${id} is lost`)
        if (stopAfter === undefined) assert.equal(queue.size, 0)
      },
    ),
    { numRuns: 150 },
  )
})
