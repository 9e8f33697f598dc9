/** Whatever Redis does, links work, and an event that was answered for arrives in the end, once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newMessageId } from '../../lib/record/message-id.ts'
import { freePort, until } from '../support/process.ts'
import { queuedEngagements } from '../support/queued-events.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { sized } from '../support/soak.ts'
import { startTracker, type TestTracker } from '../support/tracker.ts'

/** Clicks `count` new links at once; all must lead where they should. Gives their message ids. */
async function click(tracker: TestTracker, count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const messageId = newMessageId(Date.now() - 3_600_000)
      const url = `https://example.com/${messageId}`
      const answer = await fetch(tracker.url + tracker.path({ messageId, url }), { redirect: 'manual' })
      assert.deepEqual([answer.status, answer.headers.get('location')], [302, url])
      return messageId
    }),
  )
}

/** Waits until the queue holds the event of each message; copies of an event have its id. */
async function arrived(redis: TestRedis, messageIds: readonly string[]): Promise<void> {
  const events = await until(
    `${messageIds.length} events in Redis`,
    async () => {
      const events = await queuedEngagements(redis.client)
      const found = new Set(events.map(event => event.messageId))
      return messageIds.every(id => found.has(id)) && events
    },
    30_000,
    50,
  )
  const ids = new Map(events.map(event => [event.messageId, event.id]))
  for (const event of events) assert.equal(event.id, ids.get(event.messageId))
  assert.equal(new Set(events.map(event => event.id)).size, messageIds.length)
}

/** From outside: how long one link takes, ms. */
async function tookOf(tracker: TestTracker, clicked: string[]): Promise<number> {
  const began = performance.now()
  clicked.push(...(await click(tracker, 1)))
  return performance.now() - began
}

test('links work while Redis is down, from the start on, and their events arrive when it is there', async () => {
  const redis = await startRedis()
  await redis.kill('SIGKILL')
  const tracker = await startTracker({ redisUrl: redis.url })
  try {
    const clicked = await click(tracker, 50)
    assert.equal((await fetch(`http://127.0.0.1:${tracker.metricsPort}/health`)).status, 503)
    await redis.restart()
    await arrived(redis, clicked)
    clicked.push(...(await click(tracker, 50)))
    await redis.kill('SIGKILL')
    clicked.push(...(await click(tracker, 50)))
    await redis.restart()
    await arrived(redis, clicked)
    assert.equal((await tracker.stop()).code, 0)
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})

test('links work while Redis is frozen, soon without waiting for it', async () => {
  const redis = await startRedis()
  const tracker = await startTracker({ redisUrl: redis.url })
  try {
    const clicked = await click(tracker, 20)
    await redis.kill('SIGSTOP')
    // The first ones wait for Redis until its time is up; then it is no longer asked.
    for (let n = 0; n < 3; n++) await tookOf(tracker, clicked)
    await until('the breaker to open', async () => (await tracker.metric('tracker_redis_open_breaker')) === 1)
    const before = Number(await tracker.metric('tracker_answer_seconds_sum'))
    clicked.push(...(await click(tracker, 20)))
    const after = Number(await tracker.metric('tracker_answer_seconds_sum'))
    // 20 answers that each waited for Redis would take 4 s together.
    assert.ok(after - before < 2, `${after - before} s for 20 answers`)
    await redis.kill('SIGCONT')
    await arrived(redis, clicked)
  } finally {
    await redis.kill('SIGCONT')
    await tracker.stop()
    await redis.stop()
  }
})

test('links work while Redis is full, and their events arrive when it has room', async () => {
  const redis = await startRedis()
  const tracker = await startTracker({ redisUrl: redis.url })
  try {
    const clicked = await click(tracker, 20)
    await redis.client.config('SET', 'maxmemory', '1mb')
    clicked.push(...(await click(tracker, 50)))
    assert.ok(((await tracker.metric('tracker_events_pushed_total{outcome="spilled"}')) ?? 0) > 0)
    await redis.client.config('SET', 'maxmemory', '0')
    await arrived(redis, clicked)
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})

test('links work when neither Redis nor the disk takes the event; what is lost is counted', async () => {
  const tracker = await startTracker({
    redisUrl: `redis://127.0.0.1:${await freePort()}`,
    args: ['--spill-max-bytes', '20kB'],
  })
  try {
    for (let round = 0; round < 4; round++) await click(tracker, 50)
    const spilled = Number(await tracker.metric('tracker_events_pushed_total{outcome="spilled"}'))
    const dropped = Number(await tracker.metric('tracker_events_pushed_total{outcome="dropped"}'))
    assert.ok(dropped > 0)
    assert.equal(spilled + dropped, 200)
    assert.equal(await tracker.metric('tracker_events_total{type="click"}'), 200)
  } finally {
    await tracker.stop()
  }
})

test('what was answered is kept when the tracker is killed, with Redis and without', async t => {
  const redis = await startRedis()
  const tracker = await startTracker({ redisUrl: redis.url })
  const answered: string[] = []
  const kills = sized(6, 200)
  try {
    for (let round = 0; round < kills; round++) {
      // Two with Redis, two without, two with it again.
      if (round % 6 === 2) await redis.kill('SIGKILL')
      if (round % 6 === 4) await redis.restart()
      const stop = new AbortController()
      const clickers = Array.from({ length: 8 }, async () => {
        while (!stop.signal.aborted) {
          const messageId = newMessageId(Date.now() - 3_600_000)
          const path = tracker.path({ messageId, url: 'https://example.com/' })
          try {
            const answer = await fetch(tracker.url + path, { redirect: 'manual' })
            if (answer.status === 302) answered.push(messageId)
          } catch {
            return
          }
        }
      })
      const target = answered.length + 40
      await until('some answers', () => answered.length >= target, 30_000)
      tracker.process.kill('SIGKILL')
      stop.abort()
      await Promise.all(clickers)
      await tracker.restart()
    }
    const events = await until(
      'every answered event in Redis',
      async () => {
        const events = await queuedEngagements(redis.client)
        const found = new Set(events.map(event => event.messageId))
        return answered.every(id => found.has(id)) && events
      },
      sized(30_000, 300_000),
      50,
    )
    const idOf = new Map<string, string>()
    for (const event of events) {
      assert.equal(event.id, idOf.get(event.messageId) ?? event.id)
      idOf.set(event.messageId, event.id)
    }
    const copies = events.length - idOf.size
    t.diagnostic(`${kills} kills: ${answered.length} answered, none lost; ${copies} copies with the same ids`)
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})

test('SIGTERM ends with every answered event in Redis, exit 0', async () => {
  const redis = await startRedis()
  const tracker = await startTracker({ redisUrl: redis.url })
  const answered: string[] = []
  try {
    const clickers = Array.from({ length: 8 }, async () => {
      for (;;) {
        const messageId = newMessageId(Date.now() - 3_600_000)
        try {
          const path = tracker.path({ messageId, url: 'https://example.com/' })
          const answer = await fetch(tracker.url + path, { redirect: 'manual' })
          assert.equal(answer.status, 302)
          answered.push(messageId)
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error
          return
        }
      }
    })
    await until('some answers', () => answered.length >= 100)
    tracker.process.kill('SIGTERM')
    assert.deepEqual(await tracker.process.exited, { code: 0, signal: null })
    await Promise.all(clickers)
    const found = new Set((await queuedEngagements(redis.client)).map(event => event.messageId))
    assert.deepEqual(
      answered.filter(id => !found.has(id)),
      [],
    )
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})
