/**
 * The queue under random faults, for as long as one likes: kill -9 and freezes of Redis, cut, silent and answerless
 * connections, feeders that die. Every event that was said to be safe must come out, as it went in.
 *
 *   node test/soak/queue.ts [SECONDS] [SEED]     60 seconds, a seed of its own; prints the seed, to run it again
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { startRedis } from '../support/redis.ts'
import {
  closeAll,
  expectAll,
  hooks,
  metric,
  openConsumer,
  openProducer,
  pushing,
  startChild,
  takeSome,
} from '../queue/queue-under-test.ts'

const seconds = Number(process.argv[2] ?? 60)
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000)
console.log(`seed ${seed}`)
let state = seed
const random = (below: number) => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

const redis = await startRedis()
const proxy = await startFaultProxy(redis.port)
const url = `redis://127.0.0.1:${proxy.port}`
const ours = hooks(url)
const { safe, outcomes, push } = await openProducer(ours, { spillBytesMax: 1e9 })
const leaseMs = 1_500
const consumer = await openConsumer(ours, 'soak', leaseMs)
const stop = pushing(async () => {
  await push()
  await sleep(random(20))
})

const faults: Record<string, () => Promise<void>> = {
  kill: async () => {
    await redis.kill('SIGKILL')
    await sleep(random(1_500))
    await redis.restart()
  },
  freeze: async () => {
    await redis.kill('SIGSTOP')
    await sleep(random(3_000))
    await redis.kill('SIGCONT')
  },
  cut: async () => proxy.cut(),
  silence: async () => {
    proxy.goSilent()
    await sleep(random(2_500))
    proxy.heal()
  },
  'lose an answer': async () => {
    const words = ['xadd', 'xreadgroup', 'xack', 'xclaim', 'xautoclaim', 'xpending', 'xlen', 'info']
    void proxy.loseAnswerTo(words[random(words.length)]!)
  },
  'feeder dies': async () => {
    const child = await startChild('consumer-child.ts', url, `mortal ${random(5)}`, String(leaseMs))
    await sleep(500 + random(2_500))
    child.kill('SIGKILL')
    await child.exited
  },
}
const counts = new Map<string, number>()
const end = performance.now() + seconds * 1_000
const consuming = (async () => {
  while (performance.now() < end) await takeSome(consumer, safe).catch(() => undefined)
})()
while (performance.now() < end) {
  const names = Object.keys(faults)
  const name = names[random(names.length)]!
  counts.set(name, (counts.get(name) ?? 0) + 1)
  await faults[name]!()
  await sleep(random(1_000))
}
await consuming
await stop()
console.log('faults', Object.fromEntries(counts), 'pushed', outcomes)
const calmAt = performance.now()
const came = await expectAll(consumer, safe, 60_000).catch(async (error: unknown) => {
  console.log((await ours.metrics.metrics()).replaceAll(/^#.*\n|^\n/gm, ''), ours.health.report())
  for (let partition = 0; partition < ours.partitions; partition++) {
    const key = `mta:{${partition}}:events`
    console.log(key, await redis.client.xlen(key), JSON.stringify(await redis.client.xpending(key, 'feeder')))
  }
  console.log(ours.lines.slice(-40).join(''))
  console.log(JSON.stringify(await redis.client.xinfo('GROUPS', 'mta:{0}:events')), await redis.client.client('LIST'))
  throw error
})
const repeats = [...came.values()].reduce((sum, times) => sum + times - 1, 0)
const left = await metric(ours.metrics, 'test_spill_events')
const tookMs = Math.round(performance.now() - calmAt)
console.log(
  `${safe.size} events, all came, the last ${tookMs} ms after the faults; ${repeats} repeats; ${left} in the spill; ${outcomes.dropped} dropped`,
)
if (outcomes.dropped > 0) process.exitCode = 1
await closeAll()
await proxy.close()
await redis.stop()
