/** Redis fails over to a replica, which never had all that the master confirmed. */
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { until } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { closeAll, expectAll, hooks, metric, openConsumer, openProducer } from './queue-under-test.ts'

afterEach(closeAll)

/** An address that leads to a server that can be changed; connections that are there stay where they are. */
async function startBalancer(port: number) {
  let target = port
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    const upstream = connect(target, '127.0.0.1')
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => undefined).on('close', () => other.destroy())
      one.pipe(other)
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo: (other: number) => (target = other),
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describe('the queue, when Redis fails over', () => {
  it('follows the address to the new master, though nobody cuts the connection, and queues again what that never had', async () => {
    const [old, promoted] = await Promise.all([startRedis(), startRedis()])
    const balancer = await startBalancer(old.port)
    try {
      const ours = hooks(balancer.url)
      const { safe, outcomes, push } = await openProducer(ours)
      const consumer = await openConsumer(ours)
      for (let i = 0; i < 50; i++) await push()
      assert.equal(outcomes.queued, 50)
      balancer.leadTo(promoted.port)
      await old.client.replicaof('127.0.0.1', promoted.port)
      await until('an event to be queued', async () => (await push()) === 'queued')
      assert.ok((await promoted.client.dbsize()) > 0)
      await expectAll(consumer, safe)
      assert.equal(await metric(ours.metrics, 'test_events_requeued_total'), 50)
      await until('health', () => ours.health.report().status === 'ok')
    } finally {
      await closeAll()
      balancer.close()
      await Promise.all([old.stop(), promoted.stop()])
    }
  })

  it('queues again what the same server has lost because it was the replica of another for a while', () =>
    withTwo(async ({ redis, ours, safe, push, loseAll }) => {
      await loseAll()
      await until('it to be found out', async () => (await push()) === 'spilled')
      await redis.client.replicaof('NO', 'ONE')
      await until('an event to be queued', async () => (await push()) === 'queued')
      await expectAll(await openConsumer(ours), safe)
    }))

  for (const [how, isSeen] of [
    ['while it is one', true],
    ['after it was one for a moment', false],
  ] as const) {
    it(`queues again what a server has lost as a replica, though nothing is pushed meanwhile: found out ${how}`, () =>
      withTwo(async ({ redis, ours, safe, loseAll }) => {
        await loseAll()
        if (isSeen) await until('health to say so', () => /replica/.test(JSON.stringify(ours.health.report())))
        await redis.client.replicaof('NO', 'ONE')
        await until(
          'all to be queued again',
          async () => (await metric(ours.metrics, 'test_spill_drained_total')) === 50,
        )
        assert.equal(await metric(ours.metrics, 'test_events_requeued_total'), 50)
        await expectAll(await openConsumer(ours), safe)
      }))
  }

  it('goes on where the first replica comes: nothing is repeated', () =>
    withTwo(async ({ redis, other, ours, safe, push }) => {
      await other.client.replicaof('127.0.0.1', redis.port)
      await until('the replica to be there', async () => /slave0:.*online/.test(await redis.client.info('replication')))
      await new Promise(resolve => setTimeout(resolve, 1_500))
      await until('an event to be queued', async () => (await push()) === 'queued')
      assert.equal(await metric(ours.metrics, 'test_events_requeued_total'), 0)
      await expectAll(await openConsumer(ours), safe)
    }))
})

/** A producer that has pushed 50 events to one of two servers. */
async function withTwo(run: (two: Two) => Promise<void>): Promise<void> {
  const undelayed = ['--repl-diskless-sync-delay', '0']
  const [redis, other] = await Promise.all([startRedis(undelayed), startRedis(undelayed)])
  try {
    const ours = hooks(redis.url)
    const { safe, push } = await openProducer(ours)
    for (let i = 0; i < 50; i++) await push()
    const loseAll = async () => {
      await redis.client.replicaof('127.0.0.1', other.port)
      await until('it to have taken over what the other has', async () => (await redis.client.dbsize()) === 0)
    }
    await run({ redis, other, ours, safe, push, loseAll })
  } finally {
    await closeAll()
    await Promise.all([redis.stop(), other.stop()])
  }
}

interface Two extends Pick<Awaited<ReturnType<typeof openProducer>>, 'safe' | 'push'> {
  readonly redis: TestRedis
  readonly other: TestRedis
  readonly ours: ReturnType<typeof hooks>
  /** Makes the first the replica of the second, which has nothing. */
  readonly loseAll: () => Promise<void>
}
