/** Events go in at one end and come out at the other, records are found. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import pino from 'pino'
import { Registry } from 'prom-client'
import { EventConsumer, type QueuedEvent } from '../../lib/queue/event-consumer.ts'
import { EventProducer } from '../../lib/queue/event-producer.ts'
import { RecordStore } from '../../lib/record/record-store.ts'
import { randomEventId } from '../../lib/event/event-id.ts'
import type { TrackingEvent } from '../../lib/event/event.ts'
import { Health } from '../../lib/process/health.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
let dir: string
before(async () => {
  redis = await startRedis()
  dir = await mkdtemp(join(tmpdir(), 'mta-queue-'))
})
after(async () => {
  await redis.stop()
  await rm(dir, { recursive: true, force: true })
})

const hooks = () => ({
  redisUrl: redis.url,
  partitions: 4,
  log: pino({ level: 'silent' }),
  health: new Health(),
  metrics: new Registry(),
})

const event = (n: number): TrackingEvent => ({
  type: 'click',
  id: randomEventId(),
  messageId: `0000${String(n).padStart(16, '0')}`,
  at: 1_700_000_000_000 + n,
  url: `https://example.com/${n}`,
})

describe('the queue', () => {
  it('hands out every event pushed, once', async () => {
    const producer = await EventProducer.open({ ...hooks(), prefix: 'test', spillDir: join(dir, 'spill') })
    const consumer = await EventConsumer.open({ ...hooks(), consumer: 'one', leaseMs: 60_000 })
    const events = Array.from({ length: 2_000 }, (_, n) => event(n))
    const outcomes = await Promise.all(events.map(each => producer.push(each)))
    assert.deepEqual(new Set(outcomes), new Set(['queued']))
    const taken: QueuedEvent[] = []
    while (taken.length < events.length) {
      const some = await consumer.take(300, 2_000)
      assert.notEqual(some.length, 0)
      taken.push(...some)
      await consumer.done(some)
    }
    assert.deepEqual(
      taken.map(entry => entry.event).toSorted((a, b) => a!.at - b!.at),
      events,
    )
    assert.equal(await consumer.waiting(), 0)
    await consumer.close()
    await producer.close()
  })

  it('finds the records of both writers', async () => {
    const store = await RecordStore.open({ ...hooks(), prefix: 'test' })
    store.put('wrapper', 'a', { recipient: 'x@example.com', uuid: 'u' }, 60)
    await store.putMany('accounting', [{ messageId: 'a', record: { job: 'j' } }], 60)
    await store.putMany('accounting', [{ messageId: 'b', record: { job: 'k' } }], 60)
    assert.deepEqual(
      await store.getMany(['a', 'b', 'c']),
      new Map([
        ['a', { recipient: 'x@example.com', uuid: 'u', job: 'j' }],
        ['b', { job: 'k' }],
      ]),
    )
    await store.close()
  })
})
