/** Events go in at one end and come out at the other, records are found. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { QueuedEvent } from '../../lib/queue/event-consumer.ts'
import { RecordStore } from '../../lib/record/record-store.ts'
import { recordKey } from '../../lib/record/record.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import {
  closeAll,
  expectAll,
  expectNoneDropped,
  finish,
  hooks,
  metric,
  newEvent,
  openConsumer,
  openProducer,
} from './queue-under-test.ts'

afterEach(closeAll)

const root = resolve(import.meta.dirname, '../..')

describe('the queue', () => {
  let redis: TestRedis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  it('hands out every event pushed, once, and the counters add up', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    const consumer = await openConsumer(ours)
    await Promise.all(Array.from({ length: 3_000 }, () => push()))
    assert.deepEqual(outcomes, { queued: 3_000, spilled: 0, dropped: 0 })
    const came = await expectAll(consumer, safe)
    assert.deepEqual(new Set(came.values()), new Set([1]))
    assert.equal(await consumer.waiting(), 0)
    assert.equal(await metric(ours.metrics, 'test_events_pushed_total', { outcome: 'queued' }), 3_000)
    assert.equal(await metric(ours.metrics, 'feeder_queue_taken_total'), 3_000)
    assert.equal(await metric(ours.metrics, 'feeder_queue_done_total'), 3_000)
    assert.deepEqual(ours.health.report(), { status: 'ok', reasons: {} })
  })

  it('shares the events among consumers, also over a unix socket', async () => {
    const { safe, push } = await openProducer(hooks(`unix://${redis.socket}`))
    const consumers = await Promise.all(
      ['a', 'b', 'c'].map(name => openConsumer(hooks(`unix://${redis.socket}`), name)),
    )
    await Promise.all(Array.from({ length: 1_000 }, () => push()))
    const came: string[] = []
    await until('all events', async () => {
      for (const consumer of consumers) {
        const entries = await consumer.take(50, 100)
        came.push(...entries.map(({ event }) => event!.id))
        await finish(consumer, entries)
      }
      return came.length >= safe.size
    })
    assert.deepEqual(came.toSorted(), [...safe.keys()].toSorted())
  })

  it('keeps everything for as long as nobody takes it: nothing is trimmed', async () => {
    const ours = hooks(redis.url)
    const { outcomes, push } = await openProducer(ours)
    const consumer = await openConsumer(hooks(redis.url))
    const count = sized(20_000, 1_000_000)
    for (let pushed = 0; pushed < count; pushed += 1_000) {
      await Promise.all(Array.from({ length: 1_000 }, () => push()))
    }
    // What Redis did not confirm in time came by way of the disk, perhaps twice.
    await until('all to be in Redis', async () => (await consumer.waiting()) >= count)
    if (outcomes.queued === count) assert.equal(await consumer.waiting(), count)
    await expectNoneDropped(ours.metrics)
    await redis.client.flushall()
    for (const file of globSync('{lib,cmd}/**/*.ts', { cwd: root })) {
      assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), /\b(?:maxlen|minid|xtrim)\b/i, file)
    }
  })

  it('hands out what is no event with its text', async () => {
    const consumer = await openConsumer(hooks(redis.url))
    await redis.client.xadd('mta:{1}:events', '*', 'e', '{"id":"1","messageId":')
    await redis.client.xadd('mta:{2}:events', '*', 'x', 'y', 'z', '')
    const entries: QueuedEvent[] = []
    await until('both entries', async () => entries.push(...(await consumer.take(10, 100))) === 2)
    assert.ok(entries.every(({ event }) => event === undefined))
    assert.deepEqual(new Set(entries.map(({ raw }) => raw)), new Set(['x y z ', '{"id":"1","messageId":']))
    await consumer.done(entries)
    assert.equal(await consumer.waiting(), 0)
  })

  for (const scripts of ['allowed', 'forbidden']) {
    it(`hands out large entries a few at a time, of what no event is as large as the beginning; scripts ${scripts}`, async () => {
      await redis.client.acl('SETUSER', 'scriptless', 'on', '>secret', '~mta:*', '+@all', '-@scripting')
      const url = scripts === 'allowed' ? redis.url : redis.url.replace('//', '//scriptless:secret@')
      const stream = 'mta:{1}:events'
      const large = Array.from({ length: 20 }, () => ({ ...newEvent(), url: 'x'.repeat(900_000) }))
      for (const event of large) await redis.client.xadd(stream, '*', 'e', JSON.stringify(event))
      await redis.client.xadd(stream, '*', 'e', 'ж'.repeat(9_000_000))
      await redis.client.xadd(stream, '*', 'no event', 'y'.repeat(9_000_000))
      // Given to a consumer that never asks for them, as when it died.
      const leaseMs = 300
      const dead = await openConsumer(hooks(url), 'dead', leaseMs)
      await redis.client.xreadgroup('GROUP', 'feeder', 'dead', 'COUNT', 12, 'STREAMS', stream, '>')
      await dead.close()
      const consumer = await openConsumer(hooks(url), 'heir', leaseMs)
      const came: QueuedEvent[] = []
      await until('all entries', async () => {
        const entries = await consumer.take(1_000, 100)
        assert.ok(entries.reduce((sum, { raw }) => sum + raw.length, 0) < 5_000_000)
        came.push(...entries)
        await finish(consumer, entries)
        return came.length >= 22
      })
      const ids = came.flatMap(({ event }) => event?.id ?? [])
      assert.deepEqual(ids.toSorted(), large.map(({ id }) => id).toSorted())
      const others = came.filter(({ event }) => event === undefined)
      assert.deepEqual(new Set(others.map(({ raw }) => raw.slice(0, 2))), new Set(['жж', 'no']))
      for (const { raw, fault } of others) {
        assert.ok(raw.length <= 1_000)
        assert.match(fault ?? '', /at most 1048576 (?:characters )?are read|its first field is not e/)
      }
      assert.equal(await consumer.waiting(), 0)
    })
  }

  it('reads the other partitions while one can not be read', async () => {
    const ours = hooks(redis.url)
    await redis.client.del('mta:{0}:events')
    await redis.client.set('mta:{0}:events', 'somebody put something else there')
    try {
      const consumer = await openConsumer(ours, 'patient')
      const event = newEvent()
      await redis.client.xadd('mta:{3}:events', '*', 'e', JSON.stringify(event))
      await expectAll(consumer, new Map([[event.id, event]]))
      assert.ok(ours.lines.some(line => line.includes('WRONGTYPE')))
    } finally {
      await redis.client.del('mta:{0}:events')
    }
  })

  it('gives what a consumer had in hand when it was closed to another at once', async () => {
    const { safe, push } = await openProducer(hooks(redis.url))
    await Promise.all(Array.from({ length: 200 }, () => push()))
    const first = await openConsumer(hooks(redis.url), 'closed')
    const taken = await first.take(50, 2_000)
    assert.ok(taken.length > 0)
    await first.close()
    const second = await openConsumer(hooks(redis.url), 'other')
    await expectAll(second, safe)
  })

  it('follows the number of partitions that the first process set', async () => {
    const consumer = await openConsumer(hooks(redis.url))
    const { safe, push } = await openProducer({ ...hooks(redis.url), partitions: 64 })
    await Promise.all(Array.from({ length: 500 }, () => push(newEvent())))
    await expectAll(consumer, safe)
    assert.deepEqual(await redis.client.keys('mta:{9}:*'), [])
  })
})

describe('a queue of many partitions', () => {
  let redis: TestRedis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  it('reads them all, though connections are shared', async () => {
    const ours = { ...hooks(redis.url), partitions: 100 }
    const { safe, push } = await openProducer(ours)
    const consumer = await openConsumer(ours)
    await Promise.all(Array.from({ length: 1_000 }, () => push()))
    await expectAll(consumer, safe)
    // One at a time: each must be found though nothing else happens in its partition.
    for (let i = 0; i < 20; i++) {
      const event = newEvent()
      await push(event)
      await expectAll(consumer, new Map([[event.id, event]]))
    }
  })
})

describe('RecordStore', () => {
  let redis: TestRedis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  it('finds the records of both writers, each with its time to live', async () => {
    const store = await RecordStore.open({ ...hooks(redis.url), prefix: 'test' })
    store.put('wrapper', 'a', { recipient: 'x@example.com', uuid: 'u' }, 60)
    await store.putMany('accounting', [{ messageId: 'a', record: { job: 'j' } }], 60)
    await store.putMany('accounting', [{ messageId: 'b', record: { job: 'k' } }], 60)
    await until('the record to be stored', async () => (await store.getMany(['a'])).get('a')?.uuid === 'u')
    assert.deepEqual(
      await store.getMany(['a', 'b', 'c']),
      new Map([
        ['a', { recipient: 'x@example.com', uuid: 'u', job: 'j' }],
        ['b', { job: 'k' }],
      ]),
    )
    for (const key of await redis.client.keys('mta:{*}:*')) assert.ok((await redis.client.ttl(key)) > 0, key)
    await store.close()
  })

  for (const scripts of ['allowed', 'forbidden']) {
    it(`reads no more than records can be, whatever lies under their keys; scripts ${scripts}`, async () => {
      const { client } = redis
      await client.acl('SETUSER', 'reader', 'on', '>hush-hush', '~mta:*', '+@all')
      if (scripts === 'forbidden') await client.acl('SETUSER', 'reader', '-eval')
      const ours = hooks(redis.url.replace('//', '//reader:hush-hush@'))
      const store = await RecordStore.open({ ...ours, prefix: 'test' })
      await store.putMany('wrapper', [{ messageId: 'good', record: { recipient: 'x@example.com' } }], 60)
      const foreign = Array.from({ length: 20 }, (_, n) => `foreign-${n}`)
      for (const id of foreign) await client.setrange(recordKey('wrapper', id, 4), 10_000_000, 'x')
      await client.set(recordKey('accounting', 'good', 4), JSON.stringify({ r: 'x'.repeat(20_000) }))
      await client.del(recordKey('accounting', 'list', 4))
      await client.rpush(recordKey('accounting', 'list', 4), 'x')
      const sent = async () => Number(/total_net_output_bytes:(\d+)/.exec(await client.info('stats'))?.[1])
      const known = new Map([['good', { recipient: 'x@example.com' }]])
      const before = await sent()
      assert.deepEqual(await store.getMany(['good', 'list', ...foreign]), known)
      const after = await sent()
      // What Redis had sent when the connection was cut; of 200 MB.
      assert.ok(after - before < 40_000_000, `${after - before} bytes`)
      assert.deepEqual(await store.getMany(['good', 'list', ...foreign]), known)
      assert.ok((await sent()) - after < 3_000_000)
      assert.equal(ours.lines.filter(line => line.includes('hold more than records can')).length, 1)
      await store.close()
      await client.del(...foreign.map(id => recordKey('wrapper', id, 4)))
    })
  }

  it('keeps what is put while Redis is away, within its bound, and says what was lost', async () => {
    const ours = hooks(redis.url)
    const store = await RecordStore.open({ ...ours, prefix: 'test' })
    await redis.kill('SIGKILL')
    for (let i = 0; i < 50_100; i++) store.put('wrapper', `away-${i}`, { job: 'j' }, 60)
    await assert.rejects(store.putMany('wrapper', [{ messageId: 'x', record: {} }], 60))
    await assert.rejects(store.getMany(['x']))
    assert.equal(await metric(ours.metrics, 'test_records_total', { outcome: 'lost' }), 100)
    await redis.restart()
    await until('all to be stored', async () => {
      return (await metric(ours.metrics, 'test_records_total', { outcome: 'stored' })) === 50_000
    })
    assert.equal((await store.getMany(['away-49999'])).size, 1)
    await store.close()
  })
})
