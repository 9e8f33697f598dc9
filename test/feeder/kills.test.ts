/** kill -9 of feeder and Redis, a frozen Redis, several feeders: nothing is lost, repeats carry the same id. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { arrived, type Rig, setUp } from './rig.ts'

let rig: Rig
beforeEach(async () => {
  rig = await setUp()
})
afterEach(() => rig.stop())

const emptied = () => until('the queue to be empty', async () => (await rig.waiting()) === 0, 30_000)
const short = ['--batch-bytes=20kB', '--request-timeout=1s', '--lease=2s']

test('feeder killed again and again: every event arrives, repeats are bounded', async () => {
  const kills = sized(5, 500)
  const issued = await rig.issue(400 * kills)
  rig.endpoint.answer = () => ({ status: 200, delayMs: 20 })
  for (let kill = 0; kill < kills; kill++) {
    const feeder = await rig.feeder(short)
    const before = rig.endpoint.requests.length
    // What the last one had in hand is free after its lease; and starting takes a while where many compete for the CPU.
    await until(
      'an upload',
      () => rig.endpoint.requests.length > before || rig.endpoint.ledger.size >= issued.length,
      60_000,
    )
    feeder.kill('SIGKILL')
    await feeder.exited
  }
  await rig.feeder(short)
  await arrived(rig, issued, 40_000 + 1_000 * kills)
  await emptied()
  assert.equal(rig.endpoint.ledger.size, issued.length)
  // At most what four requests held, 20 kB of some 200 bytes each.
  const repeats = [...rig.endpoint.ledger.values()].reduce((sum, times) => sum + times - 1, 0)
  assert.ok(repeats <= kills * 4 * 130, `${repeats} repeats`)
  assert.deepEqual(rig.endpoint.flaws, [])
})

test('a feeder that is back after a kill has at once what it had in hand', async () => {
  const issued = await rig.issue(100)
  rig.endpoint.answer = () => ({ status: 200, delayMs: 3_600_000 })
  const args = ['--batch-bytes=20kB', '--lease=1h', '--request-timeout=20s']
  const first = await rig.feeder(args)
  await until('an upload', () => rig.endpoint.requests.length > 0, 60_000)
  first.kill('SIGKILL')
  await first.exited
  rig.endpoint.answer = () => ({ status: 200 })
  await rig.feeder(args)
  await arrived(rig, issued, 60_000)
  await emptied()
})

test('two feeders that bear one name, as on machines made from one: every event arrives, though one is killed', async () => {
  rig.endpoint.answer = () => ({ status: 200, delayMs: 30 })
  const twin = (place: string) =>
    rig.feeder([...short, '--consumer=twin', '--dead-letter-dir', join(rig.deadLetterDir, place)])
  const issued = await rig.issue(2_000)
  const [first, second] = [await twin('one'), await twin('two')]
  await until(
    'both to upload',
    async () => {
      issued.push(...(await rig.issue(100)))
      const shares = await Promise.all([first, second].map(feeder => feeder.metric('feeder_events_uploaded_total')))
      return shares.every(share => share > 0)
    },
    60_000,
  )
  issued.push(...(await rig.issue(2_000)))
  first.kill('SIGKILL')
  await first.exited
  await twin('one')
  await arrived(rig, issued, 60_000)
  await emptied()
  assert.deepEqual(rig.endpoint.flaws, [])
})

test('Redis killed and restarted while the feeder works: every event arrives', async () => {
  const issued = await rig.issue(1_000)
  rig.endpoint.answer = () => ({ status: 200, delayMs: 50 })
  await rig.feeder(short)
  await until('an upload', () => rig.endpoint.requests.length > 0)
  await rig.redis.restart()
  issued.push(...(await until('Redis to take more', () => rig.issue(500))))
  await arrived(rig, issued, 40_000)
  await emptied()
  assert.deepEqual(rig.endpoint.flaws, [])
})

test('Redis frozen for a while: the feeder goes on when it thaws', async () => {
  await rig.issue(200)
  const feeder = await rig.feeder(short)
  await until('an upload', () => rig.endpoint.requests.length > 0)
  await rig.redis.kill('SIGSTOP')
  await until('health to say so', async () => (await feeder.health()).reasons['queue'] !== undefined, 20_000)
  await rig.redis.kill('SIGCONT')
  const issued = await rig.issue(200)
  await arrived(rig, issued, 30_000)
  await emptied()
})

test('Redis out of memory: the feeder still empties the queue', async () => {
  const first = await rig.issue(10)
  const feeder = await rig.feeder(short)
  await arrived(rig, first)
  await emptied()
  await feeder.stop()
  const issued = await rig.issue(500)
  await rig.redis.client.config('SET', 'maxmemory', '1mb')
  await assert.rejects(rig.issue(1), /OOM/)
  await rig.feeder(short)
  await arrived(rig, issued, 30_000)
  await emptied()
})

test('several feeders share the work', async () => {
  rig.endpoint.answer = () => ({ status: 200, delayMs: 30 })
  const feeders = []
  for (let n = 0; n < 3; n++) {
    const feeder = await rig.feeder(short)
    await until('it to be there', async () => (await feeder.health()).status === 'ok', 20_000)
    feeders.push(feeder)
  }
  const issued = []
  for (let round = 0; round < 10; round++) issued.push(...(await rig.issue(300)))
  await arrived(rig, issued, 30_000)
  await emptied()
  const shares = await Promise.all(feeders.map(feeder => feeder.metric('feeder_events_uploaded_total')))
  assert.equal(
    shares.reduce((sum, share) => sum + share, 0),
    issued.length,
  )
  assert.ok(shares.filter(share => share > 0).length >= 2, String(shares))
  assert.ok([...rig.endpoint.ledger.values()].every(times => times === 1))
})

test('SIGTERM uploads what is collected, leaves the rest in the queue, and ends in time', async () => {
  const issued = await rig.issue(100)
  const feeder = await rig.feeder(['--batch-age=1h'])
  await until('them to be collected', async () => (await feeder.metric('feeder_events_held')) === 100, 60_000)
  assert.equal(rig.endpoint.requests.length, 0)
  const { code } = await feeder.stop(9_000)
  assert.equal(code, 0, feeder.output.stdout)
  assert.equal(rig.endpoint.ledger.size, issued.length)
  assert.equal(await rig.waiting(), 0)

  rig.endpoint.answer = () => ({ status: 503 })
  await rig.issue(50)
  const blocked = await rig.feeder()
  await until('an attempt', async () => (await blocked.metric('feeder_requests_total')) > 0, 60_000)
  assert.equal((await blocked.stop(9_000)).code, 0)
  assert.equal(await rig.waiting(), 50)
  assert.match(blocked.output.stdout, /"returned":50/)
})

test('an event waits for the record of its message, then goes without', async () => {
  const feeder = await rig.feeder(['--record-wait=8s'])
  await until('it to be there', async () => (await feeder.health()).status === 'ok', 60_000)
  const [known] = await rig.issue(1)
  const [unknown] = await rig.issue(1)
  assert.ok(known && unknown)
  await until('them to be held', async () => (await feeder.metric('feeder_events_held')) === 2)
  await rig.record(known.messageId, { recipient: 'late@example.com' })
  await arrived(rig, [known])
  assert.equal(rig.endpoint.events[0]?.fields['rcpt_to'], 'late@example.com')
  assert.ok(!rig.endpoint.ledger.has(unknown.id))
  await arrived(rig, [unknown])
  assert.equal(await feeder.metric('feeder_events_without_record_total'), 1)
})

test('a Redis that would delete waiting events is refused', async () => {
  await rig.redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru')
  const feeder = await rig.feeder()
  assert.equal((await feeder.exited).code, 1)
  assert.match(feeder.output.stdout, /noeviction/)
})
