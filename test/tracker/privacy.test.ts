/** What a tracker knows of people stays in the event: nothing of it in logs, metrics, health or on other pages. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { newMessageId } from '../../lib/record/message-id.ts'
import { queuedEngagements } from '../support/queued-events.ts'
import { startRedis } from '../support/redis.ts'
import { startTracker } from '../support/tracker.ts'

test('neither addresses, URLs, tokens nor keys get into logs, metrics and answers', async () => {
  const redis = await startRedis()
  const tracker = await startTracker({
    redisUrl: redis.url,
    args: [
      ...['--access-log', '--log-level', 'debug', '--logfile', 'log', '--trusted-proxies', '127.0.0.1'],
      ...['--legacy-links', 'confirm', '--ip', 'truncate'],
    ],
  })
  try {
    const messageId = newMessageId(Date.now())
    const target = 'https://canary-target.example/reset?canary-secret=1'
    const paths = [
      tracker.path({ messageId, url: target, linkName: 'canary-name' }),
      tracker.path({ messageId, action: 'open' }),
      tracker.path({ messageId, action: 'list_unsubscribe' }),
      `/${deflateSync(JSON.stringify({ act: 'c', t_url: target, msg_id: messageId, rcpt: 'canary-rcpt@example.com' })).toString('base64url')}`,
    ]
    const answers: string[] = []
    for (const path of [...paths, ...paths.map(path => `${path}x`)]) {
      for (const method of ['GET', 'HEAD', 'POST']) {
        const answer = await fetch(`${tracker.url}${path}?canary-query=1`, {
          method,
          redirect: 'manual',
          headers: {
            'User-Agent': 'Mozilla/5.0 (canary-agent)',
            'X-Forwarded-For': '198.51.100.23',
            Referer: 'https://canary-referer.example/',
            Cookie: 'canary-cookie=1',
          },
          ...(method === 'POST' && { body: 'canary-body=1' }),
        })
        answers.push(
          JSON.stringify([...answer.headers]).replaceAll(target, ''),
          (await answer.text()).replaceAll(target, ''),
        )
      }
    }
    const secret = readFileSync(tracker.keyFile, 'utf8').trim().split(' ').at(-1)!
    const health = await (await fetch(`http://127.0.0.1:${tracker.metricsPort}/health`)).text()
    const metrics = await (await fetch(`http://127.0.0.1:${tracker.metricsPort}/metrics`)).text()
    const log = readFileSync(join(tracker.dir, 'log'), 'utf8')
    const { stdout, stderr } = tracker.process.output
    assert.ok(log.split('"msg":"request"').length > 20, log)
    assert.match(log, /"key":"k1"/)
    for (const [where, text] of Object.entries({ log, stdout, stderr, health, metrics })) {
      assert.doesNotMatch(text, /canary|198\.51\.100|Mozilla/, where)
      assert.ok(!text.includes(secret), where)
      for (const path of paths) assert.ok(!text.includes(path.slice(1)), where)
    }
    // The page that asks before it leads on names the host; nothing else is repeated to whoever asks.
    assert.doesNotMatch(answers.join('\n').replaceAll('canary-target.example', ''), /canary|198\.51\.100|Mozilla/)

    const events = await queuedEngagements(redis.client)
    assert.ok(events.length > 0)
    for (const event of events) assert.equal(event.ip, '198.51.100.0')
    assert.doesNotMatch(JSON.stringify(events), /canary-rcpt|canary-cookie|canary-referer|canary-query|canary-body/)
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})

test('--ip none keeps no address', async () => {
  const redis = await startRedis()
  const tracker = await startTracker({ redisUrl: redis.url, args: ['--ip', 'none'] })
  try {
    await fetch(tracker.url + tracker.path({ action: 'open' }))
    const [event] = await queuedEngagements(redis.client)
    assert.equal(event?.type, 'open')
    assert.doesNotMatch(JSON.stringify(event), /127\.0\.0/)
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})
