/** What a Redis must be like to hold the queue, and what may be forbidden there. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { StartError } from '../../lib/process/start-error.ts'
import { connectRedis } from '../../lib/queue/redis.ts'
import { RecordStore } from '../../lib/record/record-store.ts'
import { freePort, until } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { closeAll, expectAll, hooks, metric, newFolder, openConsumer, openProducer } from './queue-under-test.ts'

afterEach(closeAll)

describe('a Redis for the queue', () => {
  it('is refused when it evicts, with the fix, by everything that connects', async () => {
    const redis = await startRedis(['--maxmemory-policy', 'allkeys-lru'])
    try {
      const fix = (error: unknown) =>
        error instanceof StartError && /set "maxmemory-policy noeviction"/.test(error.message)
      await assert.rejects(openProducer(hooks(redis.url)), fix)
      await assert.rejects(openConsumer(hooks(redis.url)), fix)
      await assert.rejects(RecordStore.open({ ...hooks(redis.url), prefix: 'test' }), fix)
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('turns health red when it evicts and was reached only after the start, until that is mended', async () => {
    const redis = await startRedis(['--maxmemory-policy', 'allkeys-lru'])
    try {
      await redis.kill('SIGKILL')
      const ours = hooks(redis.url)
      const { push } = await openProducer(ours)
      await redis.restart()
      await until('health', () => ours.health.report().reasons['redis-setup'])
      assert.equal(await push(), 'spilled')
      await redis.client.config('SET', 'maxmemory-policy', 'noeviction')
      await until('the event to be queued', async () => (await push()) === 'queued')
      await until('health', () => ours.health.report().status === 'ok')
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('is warned of once when it keeps the queue in memory only', async () => {
    const redis = await startRedis(['--appendonly', 'no'])
    try {
      const ours = hooks(redis.url)
      await openProducer(ours)
      await openConsumer(ours)
      assert.equal(ours.lines.filter(line => line.includes('set \\"appendonly yes\\"')).length, 1)
      assert.equal(ours.health.report().status, 'ok')
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('may forbid to ask for what it lost: then that counts as lost', async () => {
    const redis = await startRedis()
    const forbid = (...commands: string[]) =>
      redis.client.acl('SETUSER', 'tracking', 'on', '>hush-hush', '~mta:*', '+@all', ...commands)
    try {
      for (const command of ['-xrange', '-xinfo']) {
        await forbid(command)
        const ours = hooks(redis.url.replace('//', '//tracking:hush-hush@'))
        const { push } = await openProducer(ours)
        const other = await openProducer(hooks(redis.url))
        assert.equal(await push(), 'queued')
        await Promise.all(Array.from({ length: 50 }, () => other.push()))
        await redis.restart()
        await until('it to be there', () => forbid(command).catch(() => undefined))
        await until('an event to be queued', async () => (await push()) === 'queued')
        assert.equal(await metric(ours.metrics, 'test_events_requeued_total'), 1)
        await closeAll()
      }
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('may forbid scripts and CONFIG, and its password is never told', async () => {
    const redis = await startRedis()
    try {
      await redis.client.acl(
        'SETUSER',
        'tracking',
        'on',
        '>hush-hush',
        '~mta:*',
        '+@stream',
        '+@read',
        '+@write',
        '+@connection',
        '+info',
      )
      const ours = hooks(redis.url.replace('//', '//tracking:hush-hush@'))
      const { safe, outcomes, push } = await openProducer(ours)
      await Promise.all(Array.from({ length: 500 }, () => push()))
      assert.equal(outcomes.queued, 500)
      await expectAll(await openConsumer(ours), safe)
      const store = await RecordStore.open({ ...ours, prefix: 'records' })
      await store.putMany('wrapper', [{ messageId: 'a', record: { job: 'j' } }], 60)
      assert.deepEqual((await store.getMany(['a'])).get('a'), { job: 'j' })
      await store.close()
      const wrong = hooks(redis.url.replace('//', '//tracking:wrong-word@'))
      await openProducer(wrong)
      await until('health to tell', () => /WRONGPASS/.test(wrong.health.report().reasons['redis'] ?? ''))
      for (const { lines, health } of [ours, wrong]) {
        assert.doesNotMatch(lines.join('') + JSON.stringify(health.report()), /hush-hush|wrong-word/)
      }
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('may forbid INFO too, which costs the checks and is said', async () => {
    const redis = await startRedis()
    try {
      await redis.client.acl('SETUSER', 'tracking', 'on', '>hush-hush', '~mta:*', '+@all', '-info', '-config')
      const ours = hooks(redis.url.replace('//', '//tracking:hush-hush@'))
      const { push } = await openProducer(ours)
      assert.equal(await push(), 'queued')
      assert.equal(ours.lines.filter(line => line.includes('does not tell its maxmemory-policy')).length, 1)
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('turns health red while it is a replica, and is used when it is none', async () => {
    const redis = await startRedis()
    try {
      await redis.client.replicaof('127.0.0.1', 1)
      const ours = hooks(redis.url)
      const { safe, outcomes, push } = await openProducer(ours)
      await push()
      assert.equal(outcomes.spilled, 1)
      assert.match(ours.health.report().reasons['redis-setup'] ?? '', /can't be used \(it is a replica/)
      await redis.client.replicaof('NO', 'ONE')
      await until('an event to be queued', async () => (await push()) === 'queued')
      await until('health', () => ours.health.report().status === 'ok')
      // Once it is known, being made a replica shows when something is pushed.
      const consumer = await openConsumer(ours)
      const waiting = consumer.take(100, 1_000)
      await redis.client.replicaof('127.0.0.1', 1)
      ours.lines.length = 0
      await until('health', async () => {
        await push()
        return /it is a replica/.test(ours.health.report().reasons['redis-setup'] ?? '')
      })
      await until('it to have been looked at again and again', async () => {
        await consumer.take(100, 200)
        return Number(/total_connections_received:(\d+)/.exec(await redis.client.info('stats'))?.[1]) > 20
      })
      // Not a line for each.
      assert.ok(ours.lines.length < 15, ours.lines.join(''))
      await redis.client.replicaof('NO', 'ONE')
      await until('an event to be queued', async () => (await push()) === 'queued')
      await waiting
      await expectAll(consumer, safe)
      await until('health', () => ours.health.report().status === 'ok')
      assert.equal(outcomes.dropped, 0)
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('is refused when it has not the database that is named, which would be another one without a word', async () => {
    const redis = await startRedis()
    try {
      const reason = /^--redis-url: Redis has no database 99 \(ERR DB index is out of range\)/
      await assert.rejects(openProducer(hooks(`${redis.url}/99`)), (error: Error) => reason.test(error.message))
      const { push } = await openProducer(hooks(`${redis.url}/3`))
      assert.equal(await push(), 'queued')
      assert.deepEqual(await redis.client.keys('*'), [])
    } finally {
      await closeAll()
      await redis.stop()
    }
  })

  it('may be reached by TLS, and then its certificate is verified', async () => {
    const dir = await newFolder()
    const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')]
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    execFileSync('openssl', [...request, ...subject, '-keyout', key, '-out', certificate], { stdio: 'ignore' })
    const port = await freePort()
    const tls = ['--tls-port', String(port), '--tls-auth-clients', 'no', '--tls-ca-cert-file', certificate]
    const redis = await startRedis([...tls, '--tls-cert-file', certificate, '--tls-key-file', key])
    const authorities = getCACertificates('default')
    try {
      const strange = hooks(`rediss://localhost:${port}`)
      await openProducer(strange)
      assert.match(strange.health.report().reasons['redis'] ?? '', /SELF_SIGNED_CERT/)
      setDefaultCACertificates([...authorities, await readFile(certificate, 'utf8')])
      const known = hooks(`rediss://localhost:${port}`)
      const { safe, push } = await openProducer(known)
      await until('an event to be queued', async () => (await push()) === 'queued')
      await expectAll(await openConsumer(known), safe)
    } finally {
      setDefaultCACertificates(authorities)
      await closeAll()
      await redis.stop()
    }
  })

  it('must be named by a URL, which no error repeats', () => {
    for (const url of ['http://user:hush-hush@host', 'redis://:hush-hush@', 'unix://', 'redis://h/x', 'hush-hush']) {
      assert.throws(
        () => connectRedis(url, 'store', hooks(url)),
        (error: unknown) => error instanceof StartError && !error.message.includes('hush'),
      )
    }
  })
})
