/**
 * How fast events go through the queue: pushed, taken and done; and records stored and found. Everything is compared
 * with plain pipelines of ioredis against the same Redis in the same run, since the machine's speed changes.
 *
 *   node bench/queue.ts [EVENTS]     100,000 unless given; one process, one private Redis with an append-only file
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { Registry } from 'prom-client'
import { randomEventId } from '../lib/event/event-id.ts'
import type { TrackingEvent } from '../lib/event/event.ts'
import { Health } from '../lib/process/health.ts'
import { EventConsumer } from '../lib/queue/event-consumer.ts'
import { EventProducer } from '../lib/queue/event-producer.ts'
import { makeAppend } from '../lib/queue/append-command.ts'
import { appendEntries } from '../lib/queue/grouped-write.ts'
import { Slabs } from '../lib/queue/slabs.ts'
import { RecordStore } from '../lib/record/record-store.ts'
import { startRedis } from '../test/support/redis.ts'

const count = Number(process.argv[2] ?? 100_000)
const redis = await startRedis()
const dir = await mkdtemp(join(tmpdir(), 'mta-bench-'))
const hooks = () => ({
  redisUrl: redis.url,
  partitions: 4,
  log: pino({ level: 'silent' }),
  health: new Health(),
  metrics: new Registry(),
})

function newEvent(n: number): TrackingEvent {
  return {
    type: 'click',
    id: randomEventId(),
    messageId: `0000${n.toString(16).padStart(16, '0')}`,
    at: 1_790_000_000_000 + n,
    ip: '203.0.113.7',
    userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0',
    url: `https://www.example.com/a/page?item=${n}&campaign=autumn`,
    linkName: 'headline',
  }
}

interface Measured {
  readonly perSecond: number
  readonly perCpuSecond: number
}

async function measure(name: string, items: number, run: () => Promise<void>, against?: Measured): Promise<Measured> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await run()
  const seconds = (performance.now() - start) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  const measured = { perSecond: items / seconds, perCpuSecond: items / ((user + system) / 1e6) }
  const ratio = against ? `${(measured.perSecond / against.perSecond).toFixed(2)} of plain` : ''
  const text = (value: number) => Math.round(value).toLocaleString('en').padStart(11)
  console.log(`${name.padEnd(46)}${text(measured.perSecond)}/s${text(measured.perCpuSecond)}/CPU-s   ${ratio}`)
  return measured
}

const events = Array.from({ length: count }, (_, n) => newEvent(n))
const producer = await EventProducer.open({ ...hooks(), prefix: 'bench', spillDir: join(dir, 'spill') })
const consumer = await EventConsumer.open({ ...hooks(), consumer: 'bench', leaseMs: 60_000 })
const store = await RecordStore.open({ ...hooks(), prefix: 'bench' })

/** Pushes that Redis did not confirm within 200 ms: none, unless the machine is busy with something else. */
let late = 0

/** Pushes all events from `sides` sides, each of which waits for the answer before it goes on. */
async function pushAll(sides: number): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: sides }, async () => {
      while (next < count) {
        if ((await producer.push(events[next++]!)) !== 'queued') late++
      }
    }),
  )
}

const group = 1_000
const slabs = new Slabs(1e6)
const plain = await measure('plain ioredis pipelines of 1,000 XADD', count, async () => {
  for (let at = 0; at < count; at += group) {
    const pipeline = redis.client.pipeline()
    for (const event of events.slice(at, at + group)) pipeline.xadd('bench', '*', 'e', JSON.stringify(event))
    await pipeline.exec()
  }
})
await redis.client.del('bench')
await measure(
  'the same as one script for 1,000',
  count,
  async () => {
    for (let at = 0; at < count; at += group) {
      const texts = events.slice(at, at + group).map(event => JSON.stringify(event))
      await appendEntries(redis.client, 'bench', makeAppend(slabs, 'bench', texts))
    }
  },
  plain,
)
await redis.client.del('bench')
const plain50 = await measure('plain ioredis XADD, 50 sides wait for each', count, async () => {
  let next = 0
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      while (next < count) await redis.client.xadd('bench', '*', 'e', JSON.stringify(events[next++]))
    }),
  )
})
await redis.client.del('bench')
await measure('push, 50 sides wait for each', count, () => pushAll(50), plain50)

async function takeAll(): Promise<void> {
  for (let taken = 0; taken < count;) {
    const entries = await consumer.take(group, 1_000)
    taken += entries.length
    await consumer.done(entries)
  }
}
await measure('take and done, 1,000 at a time', count, takeAll, plain)
await measure('push, 1,000 sides wait for each', count, () => pushAll(1_000), plain)
await measure('take and done, again', count, takeAll, plain)

const records = events.map(({ messageId }, n) => ({
  messageId,
  record: {
    recipient: `user${n}@example.com`,
    uuid: '4b0a7c1e-7f0e-4a53-a6a5-5f2d8c1b9e00',
    job: 'autumn',
    queuedAt: 1_790_000_000_000 + n,
  },
}))
const plainSet = await measure('plain ioredis pipelines of 1,000 SET EX', count, async () => {
  for (let at = 0; at < count; at += group) {
    const pipeline = redis.client.pipeline()
    for (const { messageId, record } of records.slice(at, at + group)) {
      pipeline.set(`bench:${messageId}`, JSON.stringify(record), 'EX', 864_000)
    }
    await pipeline.exec()
  }
})
await measure(
  'RecordStore.putMany, 2,000 at a time',
  count,
  () => store.putMany('accounting', records, 864_000),
  plainSet,
)
await measure('RecordStore.getMany, 1,000 at a time', count, async () => {
  for (let at = 0; at < count; at += group) {
    const found = await store.getMany(records.slice(at, at + group).map(({ messageId }) => messageId))
    if (found.size !== Math.min(group, count - at)) throw new Error('records are missing')
  }
})

await redis.kill('SIGKILL')
await measure('push while Redis is down (spill, 1,000 sides)', count, async () => {
  let next = 0
  await Promise.all(
    Array.from({ length: 1_000 }, async () => {
      while (next < count) await producer.push(events[next++]!)
    }),
  )
})
await redis.restart()
await measure('spill drained to Redis (from its restart on)', count, async () => {
  while (producer.spilledWaiting > 0) await new Promise(resolve => setTimeout(resolve, 5))
})
console.log(`pushes that were late: ${late}; largest memory: ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`)

await Promise.all([producer.close(), consumer.close(), store.close()])
await redis.stop()
await rm(dir, { recursive: true, force: true })
