/** The feeder's memory does not depend on what stands in the queue. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { processUsage } from '../support/process-usage.ts'
import { until } from '../support/process.ts'
import { partitions, setUp, type Rig } from './rig.ts'

/** Above what it takes for the garbage of entries of this size, far below what it would hold without bounds. */
const peakMbMax = 750

let rig: Rig
before(async () => (rig = await setUp()))
after(() => rig.stop())

async function add(count: number, entry: (n: number) => string): Promise<void> {
  for (let n = 0; n < count; n++) await rig.redis.client.xadd(`mta:{${n % partitions}}:events`, '*', 'e', entry(n))
}

test('entries of any size and kind, waiting for records or for the API, are held in bounded memory', async t => {
  let id = 0
  const event = (more: string) =>
    `{"id":"${++id}","type":"click","messageId":"m${id}","at":${Date.now()},"ip":"192.0.2.1"${more}}`
  await add(30, () => 'x'.repeat(10_000_000))
  // Small as an event, large in the queue; its other members become many times as large when they are parsed.
  await add(150, () => event(`,"later":[${'{},'.repeat(300_000)}1]`))
  await add(8_000, () => event(`,"url":"https://example.com/${'a'.repeat(25_000)}"`))
  const queued = 30 + 150 + 8_000
  rig.endpoint.answer = () => ({ status: 503 })
  const feeder = await rig.feeder(['--record-wait=5s', '--batch-age=1s'])
  let peakMb = 0
  const watch = () => (peakMb = processUsage(feeder.pid)?.peakMb ?? peakMb)
  await until('it to hold what it may hold', async () => {
    watch()
    return (await feeder.metric('feeder_requests_total')) > 3
  })
  rig.endpoint.answer = () => undefined
  await until('all to be done with', async () => (watch(), (await rig.waiting()) === 0), 90_000)
  t.diagnostic(`${Math.round(peakMb)} MB at most, of ${queued} entries with some 640 MB`)
  assert.ok(peakMb > 50 && peakMb < peakMbMax, `${peakMb} MB`)
  assert.equal(rig.endpoint.ledger.size, queued - 30)
  const letters = await rig.deadLetters()
  assert.equal(letters.length, 30)
  for (const { reason, raw } of letters) {
    assert.match(reason, /^not readable as an event: 100000\d\d (?:bytes|characters), at most 1048576 /)
    assert.equal(raw?.length, 1_000)
  }
})
