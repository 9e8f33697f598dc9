/** Whatever happens to Redis, the network or a process: every event that was said to be safe comes out, with its id. */
import assert from 'node:assert/strict'
import { readdir, rename, symlink } from 'node:fs/promises'
import { after, afterEach, before, describe, it } from 'node:test'
import { join } from 'node:path'
import type { TrackingEvent } from '../../lib/event/event.ts'
import { StartError } from '../../lib/process/start-error.ts'
import { EventSpill } from '../../lib/queue/event-spill.ts'
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
  finish,
  hooks,
  metric,
  newEvent,
  newFolder,
  openConsumer,
  openProducer,
  pushing,
  startChild,
  takeSome,
} from './queue-under-test.ts'

afterEach(closeAll)

describe('the queue, when Redis fails', () => {
  let redis: TestRedis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  it('loses nothing over kill -9 of a Redis with an append-only file', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    const consumer = await openConsumer(ours)
    const stop = pushing(push)
    for (let kills = 1; kills <= sized(3, 50); kills++) {
      const before = outcomes.queued
      await until('events to be queued', () => outcomes.queued > before + 500)
      await redis.kill('SIGKILL')
      const spilled = outcomes.spilled
      await until('events to be spilled', () => outcomes.spilled > spilled + 100)
      await redis.restart()
    }
    await stop()
    await expectNoneDropped(ours.metrics)
    await expectAll(consumer, safe)
    await until('the spill to be drained', async () => (await metric(ours.metrics, 'test_spill_events')) === 0)
    await expectConserved(ours.metrics, await consumer.waiting())
    assert.equal(ours.health.report().status, 'ok')
  })

  it('answers while Redis is frozen, and asks it no more than once a second', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    await until('an event to be queued', async () => (await push()) === 'queued')
    await redis.kill('SIGSTOP')
    try {
      // Each group waits for the time limit until the breaker opens; then none does.
      while ((await metric(ours.metrics, 'test_redis_open_breaker')) === 0) await Promise.all([push(), push()])
      const failures = await metric(ours.metrics, 'test_redis_failures_total')
      for (let i = 0; i < 100; i++) await push()
      assert.ok((await metric(ours.metrics, 'test_redis_failures_total')) - failures <= 1)
      assert.match(ours.health.report().reasons['queue'] ?? '', /^Redis takes no events \(.*\): they are kept on disk/)
    } finally {
      await redis.kill('SIGCONT')
    }
    const consumer = await openConsumer(ours)
    await expectAll(consumer, safe)
    await until('Redis to be trusted again', async () => (await push()) === 'queued')
    assert.equal(ours.health.report().status, 'ok')
    assert.equal(outcomes.dropped, 0)
    await expectAll(consumer, safe)
    await expectConserved(ours.metrics, await consumer.waiting())
  })

  it('says that Redis is frozen also while there is nothing to ask it', async () => {
    const warnings: string[] = []
    const warned = (warning: Error) => warnings.push(warning.message)
    process.on('warning', warned)
    const all = [hooks(redis.url), hooks(redis.url), hooks(redis.url)] as const
    const { push } = await openProducer(all[0])
    await openConsumer(all[1])
    const store = await RecordStore.open({ ...all[2], prefix: 'test' })
    await redis.kill('SIGSTOP')
    try {
      for (const { health } of all) {
        await until(
          'health to say so',
          () => health.report().reasons['redis']?.startsWith("Redis can't be reached (it does not answer)"),
          15_000,
        )
      }
      assert.equal(await push(), 'spilled')
    } finally {
      await redis.kill('SIGCONT')
      process.off('warning', warned)
    }
    await until('health', () => all.every(({ health }) => health.report().status === 'ok'))
    await until('an event to be queued', async () => (await push()) === 'queued')
    await store.close()
    assert.deepEqual(warnings, [])
  })

  it('starts while Redis is down, and goes on with another one in its place', async () => {
    await redis.kill('SIGKILL')
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    const consumer = await openConsumer(ours)
    await push()
    assert.deepEqual(outcomes, { queued: 0, spilled: 1, dropped: 0 })
    assert.deepEqual(await consumer.take(10, 50), [])
    assert.match(ours.health.report().reasons['redis'] ?? '', /^Redis can't be reached \(ECONNREFUSED\): check/)
    await redis.restart()
    await expectAll(consumer, safe)
    await redis.replace()
    await until('the new one to be used', async () => (await push()) === 'queued')
    await redis.client.flushall()
    safe.clear()
    await until('events after FLUSHALL', async () => (await push()) === 'queued')
    await expectAll(consumer, safe)
    // What was agreed is agreed anew after each reconnection.
    await redis.replace()
    await until('the number of partitions', async () => (await redis.client.get('mta:partitions')) === '4')
    assert.equal(outcomes.dropped, 0)
  })

  it('keeps what exceeds the queue’s length on disk, until the feeder has made room', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours, { queueLengthMax: 100 })
    await until('the queue to be full', async () => (await push()) === 'spilled')
    assert.match(ours.health.report().reasons['queue-length'] ?? '', /new ones are kept on disk: check that the feeder/)
    for (let i = 0; i < 50; i++) await push()
    const consumer = await openConsumer(ours)
    await expectAll(consumer, safe)
    assert.equal(outcomes.dropped, 0)
    await until('health', () => ours.health.report().status === 'ok')
  })

  it('tells once where an event is, also when the disk took longer than anybody waits', async t => {
    const disk = Promise.withResolvers<void>()
    // As one that hangs and then goes on.
    t.mock.method(EventSpill.prototype, 'put', async (_: string, onImpatience: () => void) => {
      await Promise.resolve()
      onImpatience()
      await disk.promise
      return true
    })
    const ours = hooks('redis://127.0.0.1:1')
    const { producer } = await openProducer(ours)
    const told: string[] = []
    producer.pushThen(newEvent(), outcome => told.push(outcome))
    assert.deepEqual(told, [])
    await until('the answer not to wait', () => told.length > 0)
    disk.resolve()
    await until('the event to be on disk', async () => {
      return (await metric(ours.metrics, 'test_events_pushed_total', { outcome: 'spilled' })) === 1
    })
    assert.deepEqual(told, ['dropped'])
  })

  it('counts none as dropped that is pushed again, and calls none lost', async () => {
    await redis.kill('SIGKILL')
    const ours = hooks(redis.url)
    const { producer, outcomes, push } = await openProducer(ours, { spillBytesMax: 10_000, isRetried: true })
    await until('an event to be dropped', async () => (await push()) === 'dropped')
    assert.match(ours.health.report().reasons['spill'] ?? '', /^events are held back.*has reached its 10000 bytes/)
    assert.equal(await metric(ours.metrics, 'test_events_pushed_total'), outcomes.spilled)
    await redis.restart()
    await until('the queue to take it', async () => (await push()) === 'queued')
    await until('all to be drained', () => producer.spilledWaiting === 0)
    await redis.client.flushall()
  })

  it('drops and says so when Redis is away and the spill is full', async () => {
    await redis.kill('SIGKILL')
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours, { spillBytesMax: 10_000 })
    await until('an event to be dropped', async () => (await push()) === 'dropped')
    assert.match(ours.health.report().reasons['spill'] ?? '', /^events are lost.*has reached its 10000 bytes/)
    assert.equal(await metric(ours.metrics, 'test_events_pushed_total', { outcome: 'dropped' }), outcomes.dropped)
    await redis.restart()
    await expectAll(await openConsumer(ours), safe)
    await until('health', async () => (await push()) === 'queued' && ours.health.report().status === 'ok')
  })
})

describe('the queue, when Redis is out of memory', () => {
  it('keeps new events on disk while the feeder drains Redis, and loses none', async () => {
    const redis = await startRedis(['--maxmemory', '3mb'])
    try {
      const ours = hooks(redis.url)
      const { safe, outcomes, push } = await openProducer(ours)
      const filler = 'x'.repeat(2_000)
      await until('Redis to be full', async () => {
        const group = Array.from({ length: 100 }, () =>
          push({ ...newEvent(), url: `https://example.com/${filler}` } as TrackingEvent),
        )
        return (await Promise.all(group)).includes('spilled')
      })
      for (let i = 0; i < 500; i++) await push()
      await expectAll(await openConsumer(ours), safe)
      assert.equal(outcomes.dropped, 0)
      await until('Redis to take events', async () => (await push()) === 'queued')
    } finally {
      await closeAll()
      await redis.stop()
    }
  })
})

describe('the queue, when its groups are gone and Redis is full', () => {
  it('says so once, and goes on when there is memory', async () => {
    const redis = await startRedis()
    try {
      const ours = hooks(redis.url)
      const { safe, push } = await openProducer(ours)
      for (let i = 0; i < 20; i++) await push()
      const { client } = redis
      for (let p = 0; p < ours.partitions; p++) await client.xgroup('DESTROY', `mta:{${p}}:events`, 'feeder')
      await client.config('SET', 'maxmemory', '1')
      const consumer = await openConsumer(ours)
      await until('health to say so', async () => {
        await consumer.take(10, 50)
        return ours.health.report().reasons['queue-group']
      })
      assert.equal(ours.lines.filter(line => line.includes('consumer group can not be made')).length, 1)
      await client.config('SET', 'maxmemory', '0')
      await expectAll(consumer, safe)
      await until('health', () => ours.health.report().status === 'ok')
    } finally {
      await closeAll()
      await redis.stop()
    }
  })
})

describe('the queue, when the key of a partition holds something else', () => {
  const key = 'mta:{2}:events'
  let redis: TestRedis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  for (const scripts of ['allowed', 'forbidden']) {
    it(`has the others take its events, each once, and says so until the key is free; scripts ${scripts}`, async () => {
      await redis.client.acl('SETUSER', 'tracking', 'on', '>hush-hush', '~mta:*', '+@all')
      if (scripts === 'forbidden') await redis.client.acl('SETUSER', 'tracking', '-eval')
      const ours = hooks(redis.url.replace('//', '//tracking:hush-hush@'))
      const { safe, outcomes, push } = await openProducer(ours)
      const consumer = await openConsumer(ours, 'one', 1_000)
      await push()
      await expectAll(consumer, safe)
      await redis.client.set(key, 'something else')
      // Several round trips, the breaker must not open; and the once-a-second look at the length must not be its end.
      for (let i = 0; i < 8; i++) await Promise.all(Array.from({ length: 100 }, () => push()))
      await until('the queue to have been looked at', async () => {
        await push()
        return Number(/cmdstat_xlen:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1]) > 12
      })
      assert.deepEqual({ ...outcomes, queued: safe.size }, { queued: safe.size, spilled: 0, dropped: 0 })
      assert.match(ours.health.report().reasons['queue-key'] ?? '', /^mta:\{2\}:events in Redis holds something else/)
      const came = await expectAll(consumer, safe)
      assert.deepEqual([...new Set(came.values())], [1])
      assert.equal(await consumer.waiting(), 0)
      await until('the feeder to say so', () =>
        /rename or delete/.test(ours.health.report().reasons['queue-group'] ?? ''),
      )
      await redis.client.del(key)
      await until('health', async () => (await push()) === 'queued' && ours.health.report().status === 'ok')
      await until('an event in it', async () => (await push()) === 'queued' && (await redis.client.exists(key)) === 1)
      await expectAll(consumer, safe)
      assert.equal(ours.lines.filter(line => line.includes('does not answer')).length, 0)
      await closeAll()
      await redis.client.flushall()
    })
  }

  it('drains the spill into the others', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    await redis.kill('SIGKILL')
    await until('events on disk', async () => {
      await push()
      return outcomes.spilled > 200
    })
    await redis.restart()
    await redis.client.set(key, 'something else')
    const consumer = await openConsumer(ours)
    const came = await expectAll(consumer, safe)
    assert.deepEqual([...new Set(came.values())], [1])
    await until('the spill to be drained', async () => (await metric(ours.metrics, 'test_spill_events')) === 0)
    await redis.client.del(key)
  })

  it('queues again what a Redis that died had confirmed there a moment before', async () => {
    const ours = hooks(redis.url)
    const { safe, outcomes, push } = await openProducer(ours)
    await Promise.all(Array.from({ length: 100 }, () => push()))
    await redis.client.set(key, 'something else')
    await redis.restart()
    await until('an event to be queued', async () => (await push()) === 'queued')
    const came = await expectAll(await openConsumer(ours), safe)
    assert.deepEqual([...new Set(came.values())], [1])
    assert.equal(outcomes.dropped, 0)
    await redis.client.del(key)
  })

  it('is done with what a feeder had of it, and keeps what it has of the others', async () => {
    const ours = hooks(redis.url)
    const { safe, push } = await openProducer(ours)
    await Promise.all(Array.from({ length: 200 }, () => push()))
    const leaseMs = 500
    const consumer = await openConsumer(ours, 'one', leaseMs)
    const held = await consumer.take(1_000, 2_000)
    while (held.length < safe.size) held.push(...(await consumer.take(1_000, 2_000)))
    await redis.client.set(key, 'something else')
    const other = await openConsumer(hooks(redis.url), 'other', leaseMs)
    const renewed = async () => Number(/cmdstat_xclaim:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1])
    const before = (await renewed()) || 0
    await until('leases to be renewed for long', async () => (await renewed()) > before + 40)
    assert.deepEqual(await other.take(1_000, 50), [])
    await consumer.done(held)
    assert.equal(await consumer.waiting(), 0)
    await redis.client.del(key)
  })
})

describe('the queue, when connections break', () => {
  let redis: TestRedis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  for (const command of ['xadd', 'xreadgroup', 'xack', 'xclaim', 'xautoclaim', 'xlen', 'info']) {
    it(`loses nothing when the answer to ${command} is lost`, async () => {
      const proxy = await startFaultProxy(redis.port)
      try {
        const ours = hooks(`redis://127.0.0.1:${proxy.port}`)
        const { safe, outcomes, push } = await openProducer(ours)
        const consumer = await openConsumer(ours, `loses ${command}`, 300)
        const stop = pushing(push)
        let isLost = false
        void proxy.loseAnswerTo(command).then(() => (isLost = true))
        if (command === 'info') proxy.cut()
        await until(`${command} to be sent`, async () => {
          await takeSome(consumer, safe)
          return isLost
        })
        await stop()
        await expectAll(consumer, safe)
        assert.equal(outcomes.dropped, 0)
      } finally {
        await closeAll()
        await proxy.close()
      }
    })
  }

  it('drains the spill through a line that takes no large group in time, and does not send it again and again', async () => {
    const proxy = await startFaultProxy(redis.port)
    try {
      const ours = hooks(`redis://127.0.0.1:${proxy.port}`)
      const { safe, push } = await openProducer(ours)
      proxy.goSilent()
      while ((await metric(ours.metrics, 'test_redis_open_breaker')) === 0) await Promise.all([push(), push()])
      await Promise.all(Array.from({ length: 3_000 }, () => push()))
      proxy.narrow(500_000)
      proxy.heal()
      proxy.cut()
      await until('it to be drained', async () => (await metric(ours.metrics, 'test_spill_events')) === 0, 30_000)
      const consumer = await openConsumer(hooks(redis.url))
      const entries = await consumer.waiting()
      assert.ok(entries < 2.5 * safe.size, `${entries} entries of ${safe.size} events`)
      await expectAll(consumer, safe)
    } finally {
      await closeAll()
      await proxy.close()
    }
  })

  it('goes on after many cuts and a connection whose other end went silent', async () => {
    const proxy = await startFaultProxy(redis.port)
    try {
      const ours = hooks(`redis://127.0.0.1:${proxy.port}`)
      const { safe, outcomes, push } = await openProducer(ours)
      const consumer = await openConsumer(ours, 'cut', 2_000)
      const stop = pushing(push)
      for (let cuts = 0; cuts < sized(20, 100); cuts++) {
        proxy.cut()
        const { queued } = outcomes
        await until('events to be queued again', () => outcomes.queued > queued)
        await takeSome(consumer, safe, 10)
      }
      proxy.goSilent()
      const { spilled } = outcomes
      await until('events to be spilled', () => outcomes.spilled > spilled)
      // Old connections stay silent for ever, as behind a firewall that forgot them; only new ones work.
      await stop()
      await until(
        'the connections to be made anew',
        () => ours.lines.some(line => line.includes('trying again')) || outcomes.spilled > 0,
      )
      proxy.heal()
      proxy.cut()
      await expectAll(consumer, safe)
      await expectNoneDropped(ours.metrics)
    } finally {
      await closeAll()
      await proxy.close()
    }
  })
})

describe('the queue, when a process dies', () => {
  let redis: TestRedis
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  it('gives what a killed consumer had to another, and never what a live one has', async () => {
    const leaseMs = 600
    const { safe, push } = await openProducer(hooks(redis.url))
    await Promise.all(Array.from({ length: 400 }, () => push()))
    const live = await openConsumer(hooks(redis.url), 'live', leaseMs)
    const held = await live.take(20, 2_000)
    assert.ok(held.length > 0)
    const dying = await startChild('consumer-child.ts', redis.url, 'dying', String(leaseMs))
    await until('it to take events', () => dying.output.stdout.split('\n').length > 10)
    dying.kill('SIGKILL')
    await dying.exited
    const doomed = dying.output.stdout.trim().split('\n')
    const ours = hooks(redis.url)
    const heir = await openConsumer(ours, 'heir', leaseMs)
    const heldIds = new Set(held.map(({ event }) => event!.id))
    const came = new Map<string, boolean>()
    await until('what the dead one had, from either of the others', async () => {
      for (const consumer of [heir, live]) {
        const entries = await consumer.take(100, 50)
        for (const { event, isRepeat } of entries) came.set(event!.id, isRepeat)
        await finish(consumer, entries)
      }
      return doomed.every(id => came.has(id))
    })
    for (const id of doomed) assert.equal(came.get(id), true, 'delivered a second time')
    // Several leases later the live one still has what it took.
    const renewals = async () => (await redis.client.info('commandstats')).match(/cmdstat_xclaim:calls=(\d+)/)?.[1]
    const first = Number(await renewals())
    await until('renewals', async () => {
      const entries = await heir.take(100, 20)
      for (const { event } of entries) assert.equal(heldIds.has(event!.id), false)
      await finish(heir, entries)
      return Number(await renewals()) > first + 20
    })
    await finish(live, held)
    await takeSome(live, safe)
  })

  it('finds what a dead consumer had behind thousands that a live one has', async () => {
    const alone = await startRedis()
    try {
      const ours = { ...hooks(alone.url), partitions: 1 }
      const { safe, push } = await openProducer(ours)
      await Promise.all(Array.from({ length: 6_000 }, () => push()))
      const live = await openConsumer(ours, 'live', 500)
      const held: string[] = []
      while (held.length < 6_000) for (const { entryId } of await live.take(1_000, 1_000)) held.push(entryId)
      safe.clear()
      await Promise.all(Array.from({ length: 3_000 }, () => push()))
      // One that was given entries and is never heard of again.
      const { client } = alone
      await client.xreadgroup('GROUP', 'feeder', 'dead', 'COUNT', 3_000, 'STREAMS', 'mta:{0}:events', '>')
      await expectAll(live, safe)
      const left = new Set((await client.xrange('mta:{0}:events', '-', '+')).map(([entryId]) => entryId))
      assert.ok(held.every(entryId => left.has(entryId)))
    } finally {
      await closeAll()
      await alone.stop()
    }
  })

  it('does not give a thawed consumer back what another took over meanwhile', async () => {
    const leaseMs = 500
    const { safe, push } = await openProducer(hooks(redis.url))
    for (let i = 0; i < 20; i++) await push()
    const frozen = await startChild('consumer-child.ts', redis.url, 'frozen', String(leaseMs))
    await until('it to take all', () => frozen.output.stdout.trim().split('\n').length >= 20)
    frozen.kill('SIGSTOP')
    const heir = await openConsumer(hooks(redis.url), 'heir of the frozen', leaseMs)
    const taken = new Map<string, string>()
    await until('its events', async () => {
      for (const { event, entryId, partition } of await heir.take(100, 100))
        taken.set(event!.id, `${partition}/${entryId}`)
      return taken.size >= safe.size
    })
    frozen.kill('SIGCONT')
    const ownerOf = async (entry: string) => {
      const [partition, id] = entry.split('/')
      const [pending] = (await redis.client.xpending(`mta:{${partition}}:events`, 'feeder', id!, id!, 1)) as [
        string,
        string,
      ][]
      return pending?.[1]
    }
    // The thawed one tends its leases at once; what it does is over when it has asked whose the entries are.
    const asked = async () =>
      Number((await redis.client.info('commandstats')).match(/cmdstat_xautoclaim:calls=(\d+)/)?.[1])
    const before = await asked()
    await until('it to have tended its leases', async () => (await asked()) > before + 24)
    for (const entry of taken.values()) assert.equal(await ownerOf(entry), 'heir of the frozen')
  })

  it('waits for a spill that can not be read at the moment, and loses nothing', async () => {
    const ours = hooks(redis.url)
    const spillDir = await newFolder()
    const { safe, push } = await openProducer(ours, { spillDir })
    await redis.kill('SIGKILL')
    await until('a file in the spill', async () => (await push()) === 'spilled')
    for (let i = 0; i < 50; i++) await push()
    const name = (await readdir(spillDir)).find(file => file.endsWith('.segment'))!
    const [path, aside] = [join(spillDir, name), join(spillDir, 'aside')]
    // As with any error of the file system: what a link to itself gives is ELOOP.
    await rename(path, aside)
    await symlink(name, path)
    await redis.restart()
    await until('health to say so', () => /ELOOP/.test(ours.health.report().reasons['spill-read'] ?? ''))
    await until('new events to be queued all the same', async () => (await push()) === 'queued')
    assert.ok((await metric(ours.metrics, 'test_spill_events')) >= 50)
    await rename(aside, path)
    await until('the spill to be drained', async () => (await metric(ours.metrics, 'test_spill_events')) === 0)
    assert.equal(await metric(ours.metrics, 'test_spill_unreadable_total'), 0)
    assert.equal(ours.health.report().reasons['spill-read'], undefined)
    await expectAll(await openConsumer(ours), safe)
  })

  it('drains the spill of a killed producer when that is started again', async () => {
    const dir = join(await newFolder(), 'spill')
    const producing = await startChild('producer-child.ts', redis.url, dir)
    const lines = () => producing.output.stdout.split('\n').length
    await until('events', () => lines() > 200)
    await redis.kill('SIGSTOP')
    const before = lines()
    await until('events on disk', () => lines() > before + 200)
    producing.kill('SIGKILL')
    await producing.exited
    await redis.kill('SIGCONT')
    const told = producing.output.stdout.split('\n').slice(0, -1)
    const safe = new Map(told.map(line => JSON.parse(line) as TrackingEvent).map(event => [event.id, event]))
    await openProducer(hooks(redis.url), { spillDir: dir })
    await expectAll(await openConsumer(hooks(redis.url)), safe)
  })

  it('refuses a second producer on the same spill', async () => {
    const spillDir = await newFolder()
    await openProducer(hooks(redis.url), { spillDir })
    await assert.rejects(openProducer(hooks(redis.url), { spillDir }), StartError)
  })
})
