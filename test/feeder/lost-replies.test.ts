/** A network between feeder and Redis that loses answers, cuts and goes silent. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.ts'
import { until } from '../support/process.ts'
import { arrived, type Rig, type RunningFeeder, setUp } from './rig.ts'

let rig: Rig
let proxy: FaultProxy
let feeder: RunningFeeder
beforeEach(async () => {
  rig = await setUp()
  proxy = await startFaultProxy(rig.redis.port)
  feeder = await rig.feeder([`--redis-url=redis://127.0.0.1:${proxy.port}`, '--lease=2s', '--request-timeout=1s'])
})
afterEach(async () => {
  await proxy.close()
  await rig.stop()
})

test('an answer lost to any command costs at most a repeat with the same id', async () => {
  await until('it to be there', async () => (await feeder.health()).status === 'ok')
  for (const command of ['xreadgroup', 'mget', 'xack', 'xdel', 'xautoclaim']) {
    const lost = proxy.loseAnswerTo(command)
    const issued = await rig.issue(50)
    if (command !== 'xautoclaim') await lost
    await arrived(rig, issued, 30_000)
    await until(`the queue to be empty after ${command}`, async () => (await rig.waiting()) === 0, 30_000)
  }
  assert.equal(rig.endpoint.ledger.size, 250)
  const taken = await feeder.metric('feeder_events_taken_total')
  const uploaded = await feeder.metric('feeder_events_uploaded_total')
  await until('nothing to be held', async () => (await feeder.metric('feeder_events_held')) === 0)
  assert.equal(taken, uploaded)
})

test('cut connections and a silent network are got over', async () => {
  await until('it to be there', async () => (await feeder.health()).status === 'ok')
  const issued = await rig.issue(50)
  await until('an upload', () => rig.endpoint.requests.length > 0)
  proxy.cut()
  issued.push(...(await rig.issue(50)))
  await arrived(rig, issued, 30_000)
  proxy.goSilent()
  issued.push(...(await rig.issue(50)))
  // Long enough for reads and removals to run into the silence.
  await until('trouble to be noticed', () => /no answer within|timed out|away/.test(feeder.output.stdout), 20_000)
  proxy.heal()
  proxy.cut()
  await arrived(rig, issued, 30_000)
  await until('the queue to be empty', async () => (await rig.waiting()) === 0, 30_000)
})
