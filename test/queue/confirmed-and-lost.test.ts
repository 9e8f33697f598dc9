/** Redis confirms before what it did is in its append-only file: what a death takes along is queued again. */
import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { basename } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { SegmentLog } from '../../lib/durable/segment-log.ts'
import { EventSpill } from '../../lib/queue/event-spill.ts'
import { partitionKeys } from '../../lib/queue/partition.ts'
import { RecordStore } from '../../lib/record/record-store.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { until } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { sized } from '../support/soak.ts'
import {
  closeAll,
  expectAll,
  expectConserved,
  expectNoneDropped,
  hooks,
  metric,
  newEvent,
  newFolder,
  openConsumer,
  openProducer,
  pushing,
} from './queue-under-test.ts'

describe('the queue, when Redis dies before it has written what it confirmed', () => {
  let redis: TestRedis
  // Written at once, so that what is cut off is all that is lost; with `everysec` more may be, as the disk is busy.
  beforeEach(async () => (redis = await startRedis(['--appendfsync', 'no'])))
  afterEach(async () => {
    await closeAll()
    await redis.stop()
  })
  const pushMany = async (push: () => Promise<unknown>, count: number) => {
    for (let pushed = 0; pushed < count; pushed += 10) await Promise.all(Array.from({ length: 10 }, () => push()))
  }
  const requeued = ({ metrics }: ReturnType<typeof hooks>) => metric(metrics, 'test_events_requeued_total')

  it('queues again what is missing, and only that', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    await pushMany(push, 400)
    await redis.restartWithout(20_000)
    await until('events to be queued again', async () => (await requeued(ours)) > 0)
    await until('them to be in Redis', async () => (await metric(ours.metrics, 'test_spill_events')) === 0)
    await until('an event to be queued', async () => (await push()) === 'queued')
    const consumer = await openConsumer(ours)
    // No more than was pushed: nothing that had survived was queued a second time.
    assert.equal(await consumer.waiting(), safe.size)
    await expectAll(consumer, safe)
    assert.ok((await requeued(ours)) < 200)
    assert.equal(outcomes.dropped, 0)
    await expectConserved(ours.metrics, await consumer.waiting())
  })

  it('queues nothing again when nothing is missing, be it waiting or taken out', async () => {
    const ours = hooks(redis.url)
    const { safe, push } = await openProducer(ours)
    const consumer = await openConsumer(ours)
    await pushMany(push, 100)
    await expectAll(consumer, safe)
    await pushMany(push, 100)
    await redis.restart()
    await until('an event to be queued', async () => (await push()) === 'queued')
    await expectAll(consumer, safe)
    assert.equal(await requeued(ours), 0)
    await expectConserved(ours.metrics, await consumer.waiting())
  })

  it('queues nothing again that was taken out, though another process has pushed since', async () => {
    const ours = hooks(redis.url)
    const { producer, safe, push } = await openProducer(ours)
    const consumer = await openConsumer(ours)
    await pushMany(push, 100)
    await expectAll(consumer, safe)
    await until('nothing to be kept any more', () => producer.confirmedBytes === 0)
    const other = await openProducer(hooks(redis.url))
    await pushMany(other.push, 100)
    await redis.restart()
    await until('an event to be queued', async () => (await push()) === 'queued')
    assert.equal(await requeued(ours), 0)
    await expectAll(consumer, other.safe)
  })

  for (const clock of ['right', 'a minute behind']) {
    it(`finds what is missing also where another process was first to push to the new one, whose clock is ${clock}`, async () => {
      // Redis gives ids that follow the last one, whatever its own clock says.
      const mark = `${Date.now() + 60_000}-0`
      for (let p = 0; p < (clock === 'right' ? 0 : 4); p++) {
        await redis.client.xadd(partitionKeys(p).events, mark, 'e', JSON.stringify(newEvent()))
      }
      const ours = hooks(redis.url)
      const other = { ...hooks(redis.url), partitions: 4 }
      const { safe, push } = await openProducer(ours)
      await pushMany(push, 400)
      const proxy = await startFaultProxy(redis.port)
      try {
        const late = hooks(`redis://127.0.0.1:${proxy.port}`)
        const behind = await openProducer(late)
        await pushMany(behind.push, 400)
        proxy.goSilent()
        await redis.restartWithout(40_000)
        const first = await openProducer(other)
        await pushMany(first.push, 100)
        proxy.heal()
        proxy.cut()
        await until('events to be queued again', async () => (await requeued(late)) > 0)
        const consumer = await openConsumer(hooks(redis.url))
        await expectAll(consumer, new Map([...safe, ...behind.safe, ...first.safe]))
      } finally {
        await proxy.close()
      }
    })
  }

  it('loses nothing when it dies again and again, sometimes before it was asked what is missing', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    const stop = pushing(push)
    for (let kills = 1; kills <= sized(8, 100); kills++) {
      const before = outcomes.queued
      await until('events to be queued', () => outcomes.queued > before + 100)
      await redis.restartWithout(kills % 3 === 0 ? 0 : 15_000)
    }
    await stop()
    await expectAll(await openConsumer(ours), safe)
    await expectNoneDropped(ours.metrics)
    assert.ok((await requeued(ours)) > 0)
  })

  it('stores records again, the newest last, also when Redis dies amidst of it, and once more', async () => {
    const proxy = await startFaultProxy(redis.port)
    const store = await RecordStore.open({ ...hooks(`redis://127.0.0.1:${proxy.port}`), partitions: 1, prefix: 'test' })
    try {
      const put = (messageId: string, job: string) =>
        store.putMany('accounting', [{ messageId, record: { job } }], 1_000)
      await put('m', 'first')
      await put('m', 'second')
      const cut = proxy.loseAnswerTo('second').then(() => proxy.goSilent())
      await redis.replace()
      await cut
      for (let deaths = 0; deaths < 2; deaths++) {
        await redis.replace()
        proxy.heal()
        proxy.cut()
        await until('a record to be there', async () => {
          const found = await store.getMany(['m']).catch(() => undefined)
          return found?.has('m')
        })
        // What is stored now comes behind what is stored again.
        await put('other', 'third')
        assert.equal((await store.getMany(['m'])).get('m')?.job, 'second')
      }
    } finally {
      await store.close()
      await proxy.close()
    }
  })

  it('stores records again, the newest last', async () => {
    const store = await RecordStore.open({ ...hooks(redis.url), prefix: 'test' })
    try {
      const entries = (job: string) =>
        Array.from({ length: 200 }, (_, n) => ({ messageId: `m${n}`, record: { recipient: `r${n}@example.com`, job } }))
      await store.putMany('accounting', entries('first'), 1_000)
      await store.putMany('accounting', entries('second'), 1_000)
      await redis.restartWithout(30_000)
      const ids = entries('').map(({ messageId }) => messageId)
      await until('all records to be there', async () => {
        const found = await store.getMany(ids).catch(() => new Map<string, { job?: string }>())
        return ids.every(id => found.get(id)?.job === 'second')
      })
    } finally {
      await store.close()
    }
  })

  it('queues again what is missing also where the disk has no room for it', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours, { spillBytesMax: 8_000 })
    await pushMany(push, 400)
    assert.equal(outcomes.queued, 400)
    await redis.restartWithout(50_000)
    const consumer = await openConsumer(ours)
    await expectAll(consumer, safe)
    await expectConserved(ours.metrics, await consumer.waiting())
  })

  it('queues again what is missing also while the disk hangs, and takes new events meanwhile', async t => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    await pushMany(push, 400)
    assert.equal(outcomes.queued, 400)
    const disk = Promise.withResolvers<boolean>()
    t.mock.method(EventSpill.prototype, 'put', (_: string, onImpatience: () => void) => {
      setImmediate(onImpatience)
      return disk.promise
    })
    await redis.restartWithout(20_000)
    await until('an event to be queued', async () => (await push()) === 'queued')
    await expectAll(await openConsumer(ours), safe)
    disk.resolve(false)
  })

  it('keeps on disk what may be missing, when the process ends while Redis is away', async () => {
    const spillDir = await newFolder()
    const { producer, safe, push } = await openProducer(hooks(redis.url), { spillDir })
    await pushMany(push, 200)
    await redis.kill('SIGKILL')
    await until('Redis to be missed', async () => (await push()) === 'spilled')
    await producer.close()
    await redis.replace()
    const ours = hooks(redis.url)
    await openProducer(ours, { spillDir })
    await expectAll(await openConsumer(ours), safe)
  })

  // What came from the disk is kept there, however little may be kept in memory.
  const drained = async (with_: ReturnType<typeof hooks>, spillDir?: string) => {
    await redis.kill('SIGKILL')
    const opened = await openProducer(with_, { confirmedBytesMax: 1, ...(spillDir ? { spillDir } : {}) })
    await pushMany(opened.push, 400)
    await redis.restart()
    await until('the spill to be drained', async () => (await metric(with_.metrics, 'test_spill_events')) === 0)
    return opened
  }

  it('sends again what came from the disk and is missing, and only that', async () => {
    const ours = hooks(redis.url)
    const { producer, safe, push } = await drained(ours)
    await redis.restartWithout(10_000)
    await until('events to be sent again', async () => (await requeued(ours)) > 0)
    await until('them to be in Redis', async () => (await metric(ours.metrics, 'test_spill_events')) === 0)
    await until('an event to be queued', async () => (await push()) === 'queued')
    const consumer = await openConsumer(ours)
    const waiting = await consumer.waiting()
    await expectAll(consumer, safe)
    await expectConserved(ours.metrics, await consumer.waiting())
    // All of it was one group: what had survived of that is there twice.
    assert.ok(waiting < 2 * safe.size, `${waiting} of ${safe.size}`)
    await until('nothing to be kept any more', () => producer.confirmedBytes === 0)
    const before = await requeued(ours)
    await redis.restart()
    await until('an event to be queued', async () => (await push()) === 'queued')
    assert.equal(await requeued(ours), before)
  })

  it('has on disk what came from there and may be missing, when the process ends while Redis is away', async () => {
    const spillDir = await newFolder()
    const { producer, safe } = await drained(hooks(redis.url), spillDir)
    await redis.kill('SIGKILL')
    await producer.close()
    await redis.replace()
    const ours = hooks(redis.url)
    await openProducer(ours, { spillDir })
    await expectAll(await openConsumer(ours), safe)
  })

  it('has on disk what came from there until it is safe, when the process is killed', async () => {
    const spillDir = await newFolder()
    await drained(hooks(redis.url), spillDir)
    // As after a kill: another finds the files as they are.
    const found = await newFolder()
    await cp(spillDir, found, { recursive: true, filter: path => basename(path) !== 'lock' })
    const ours = hooks(redis.url)
    await openProducer(ours, { spillDir: found })
    await until('them to be sent again', async () => (await metric(ours.metrics, 'test_spill_drained_total')) === 400)
  })

  it('lets go of what came from the disk once it is safe', async () => {
    const spillDir = await newFolder()
    const { producer, safe } = await drained(hooks(redis.url), spillDir)
    await until('nothing to be kept any more', () => producer.confirmedBytes === 0)
    await redis.kill('SIGKILL')
    await producer.close()
    const log = await SegmentLog.open({ dir: spillDir, bytesMax: 1e6 })
    assert.equal(log.firstSeq, log.lastSeq + 1)
    await log.close()
    await redis.restart()
    await expectAll(await openConsumer(hooks(redis.url)), safe)
  })
})
