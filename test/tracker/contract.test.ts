/** What a tracker answers over real connections: to browsers, mail services, and those who try. */
import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { newMessageId } from '../../lib/record/message-id.ts'
import { keyLine } from '../support/link-keys.ts'
import { until } from '../support/process.ts'
import { queuedEngagements } from '../support/queued-events.ts'
import { rawRequest } from '../support/raw-http.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { sized } from '../support/soak.ts'
import { startTracker, type TestTracker } from '../support/tracker.ts'

let redis: TestRedis
let tracker: TestTracker

before(async () => {
  redis = await startRedis()
  tracker = await startTracker({ redisUrl: redis.url })
})
after(async () => {
  await tracker.stop()
  await redis.stop()
})

const get = (path: string, init: RequestInit = {}) => fetch(tracker.url + path, { redirect: 'manual', ...init })
const eventOf = async (messageId: string) =>
  (await queuedEngagements(redis.client)).find(event => event.messageId === messageId)

test('a pixel is a GIF, and its event is in Redis by the time it is there', async () => {
  const messageId = newMessageId(Date.now())
  const answer = await get(tracker.path({ action: 'open', messageId }))
  const body = Buffer.from(await answer.arrayBuffer())
  const event = await eventOf(messageId)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), 'image/gif')
  assert.equal(answer.headers.get('cross-origin-resource-policy'), 'cross-origin')
  assert.equal(body.subarray(0, 6).toString('latin1'), 'GIF89a')
  assert.equal(body.length, 43)
  assert.equal(event?.type, 'open')
  assert.equal(event?.ip, '127.0.0.1')
})

test('a click leads to the URL as it was written, and its event says so', async () => {
  const messageId = newMessageId(Date.now())
  const url = 'https://example.com/%E4%FC/a%2Fb/[x]?q=1&r={y}|z#f%23'
  const answer = await get(tracker.path({ messageId, url, linkName: 'offer' }))
  const event = await eventOf(messageId)
  assert.equal(answer.status, 302)
  assert.equal(answer.headers.get('location'), url)
  assert.deepEqual([event?.type, event?.url, event?.linkName], ['click', url, 'offer'])
})

test('a link works whatever the client expects and announces', async () => {
  const headers = [
    'Expect: bananas\r\nConnection: close',
    'Upgrade: h2c\r\nConnection: Upgrade, close',
    'Content-Length: 1000000000\r\nConnection: close',
  ]
  for (const header of headers) {
    const path = tracker.path({ url: 'https://example.com/' })
    const { status } = await rawRequest(tracker.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n${header}\r\n\r\n`)
    assert.equal(status, 302, header)
  }
})

test('HEAD is answered as GET and is no event', async () => {
  for (const link of [{ action: 'open' as const }, { url: 'https://example.com/' }]) {
    const messageId = newMessageId(Date.now())
    const path = tracker.path({ messageId, ...link })
    const head = await rawRequest(tracker.port, `HEAD ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    assert.equal(await eventOf(messageId), undefined)
    const got = await rawRequest(tracker.port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    assert.equal(head.body, '')
    assert.deepEqual([...head.headers.keys()], [...got.headers.keys()])
    assert.equal(head.headers.get('content-length'), got.headers.get('content-length'))
  }
  assert.equal(await tracker.metric('tracker_head_total'), 2)
})

test('one-click unsubscription needs the POST', async () => {
  const messageId = newMessageId(Date.now())
  const path = tracker.path({ action: 'list_unsubscribe', messageId })
  const page = await get(path)
  assert.equal(page.status, 200)
  assert.match(await page.text(), /<form method="post">/)
  assert.equal(await eventOf(messageId), undefined)
  const posted = await get(path, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) })
  assert.equal(posted.status, 200)
  assert.equal((await eventOf(messageId))?.type, 'list_unsubscribe')
  const multipart = new FormData()
  multipart.set('List-Unsubscribe', 'One-Click')
  assert.equal((await get(path, { method: 'POST', body: multipart })).status, 200)
  assert.equal((await get(path, { method: 'POST', body: 'x'.repeat(100_000) })).status, 413)
})

const line = (method: string, target: string, more = '') =>
  `${method} ${target} HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n${more}\r\n`

/** What strangers send. A status of 0: the connection is closed without an answer. */
const strange: readonly (readonly [why: string, bytes: () => string, statuses: readonly number[]])[] = [
  ['nothing known', () => line('GET', '/nothing'), [404]],
  ['root', () => line('GET', '/'), [404]],
  ['favicon', () => line('GET', '/favicon.ico'), [404]],
  ['robots', () => line('GET', '/robots.txt'), [200]],
  ['well-known', () => line('GET', '/.well-known/security.txt'), [404]],
  ['traversal', () => line('GET', '/../../../../etc/passwd'), [404]],
  ['escaped NUL', () => line('GET', '/%00'), [404]],
  ['raw NUL', () => line('GET', '/a\0b'), [400]],
  ['bad escape', () => line('GET', '/%zz%'), [404]],
  ['8-bit path', () => line('GET', '/\xc3\xa4\xff'), [400, 404]],
  ['path of 8 KiB', () => line('GET', `/${'a'.repeat(8191)}`), [404]],
  ['path beyond 8 KiB', () => line('GET', `/${'a'.repeat(8192)}`), [414]],
  ['path of 100 KB', () => line('GET', `/${'a'.repeat(100_000)}`), [431]],
  ['header of 100 KB', () => line('GET', '/x', `X: ${'a'.repeat(100_000)}\r\n`), [431]],
  ['2000 headers', () => line('GET', '/x', 'A: b\r\n'.repeat(2000)), [404, 431]],
  ['open redirect', () => line('GET', '/?url=https://evil.example'), [404]],
  ['a proxy request', () => line('GET', 'http://evil.example/'), [404]],
  ['CONNECT', () => line('CONNECT', 'evil.example:443'), [405]],
  ['OPTIONS *', () => line('OPTIONS', '*'), [405]],
  ['OPTIONS', () => line('OPTIONS', tracker.path({ action: 'open' })), [405]],
  ['PUT', () => line('PUT', tracker.path({ action: 'open' }), 'Content-Length: 0\r\n'), [405]],
  ['DELETE', () => line('DELETE', tracker.path({ action: 'open' })), [405]],
  ['TRACE', () => line('TRACE', tracker.path({ action: 'open' })), [405]],
  ['a method that there is not', () => line('BREW', '/pot'), [400]],
  ['POST of a click', () => line('POST', tracker.path({ url: 'https://example.com' }), 'Content-Length: 0\r\n'), [405]],
  ['POST without length', () => line('POST', tracker.path({ action: 'list_unsubscribe' })), [400]],
  [
    'POST of a strange type',
    () => line('POST', tracker.path({ action: 'list_unsubscribe' }), 'Content-Type: ;;\r\nContent-Length: 1\r\n\r\nx'),
    [400],
  ],
  ['two lengths', () => line('POST', '/x', 'Content-Length: 5\r\nContent-Length: 6\r\n'), [400]],
  ['length and chunks', () => line('POST', '/x', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'), [400]],
  ['bad chunk', () => `${line('POST', '/x', 'Transfer-Encoding: chunked\r\n')}zz\r\n`, [400]],
  ['no host', () => 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', [400]],
  ['HTTP/1.0', () => 'GET /x HTTP/1.0\r\n\r\n', [404]],
  ['HTTP/0.9', () => 'GET /\r\n\r\n', [400, 404]],
  ['HTTP/3.0', () => 'GET / HTTP/3.0\r\nHost: a\r\n\r\n', [400]],
  ['HTTP/2 preface', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['TLS', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
  ['folded header', () => line('GET', '/x', 'A: b\r\n c\r\n'), [400, 404]],
  ['bare LF', () => 'GET /x HTTP/1.1\nHost: a\n\n', [400, 404]],
  ['upgrade', () => line('GET', '/x', 'Connection: upgrade\r\nUpgrade: websocket\r\n'), [404]],
  ['expectation', () => line('GET', '/x', 'Expect: the-unexpected\r\n'), [404]],
  ['body of a GET', () => line('GET', '/x', 'Content-Length: 5\r\n\r\nhello'), [404]],
]

for (const [why, bytes, statuses] of strange) {
  test(`${why} is answered ${statuses.join(' or ')}`, async () => {
    const answer = await rawRequest(tracker.port, bytes(), 3000)
    assert.ok(statuses.includes(answer.status), answer.text.slice(0, 200))
    assert.equal(answer.headers.get('location'), undefined)
  })
}

test('clients that vanish do no harm', async () => {
  const path = tracker.path({ url: 'https://example.com/' })
  const unsubscribe = tracker.path({ action: 'list_unsubscribe' })
  const says = [
    line('CONNECT', 'a.example:443'),
    line('GET', path),
    line('GET', path).repeat(20),
    line('GET', path, 'Connection: upgrade\r\nUpgrade: x\r\n'),
    line('POST', unsubscribe, 'Content-Length: 26\r\n'),
    'GET /x HT',
    '',
  ]
  await Promise.all(
    says.flatMap(bytes =>
      Array.from({ length: 20 }, async () => {
        const socket = connect(tracker.port, '127.0.0.1')
        socket.on('error', () => undefined)
        await once(socket, 'connect')
        const closed = once(socket, 'close')
        if (bytes === '') socket.resetAndDestroy()
        else socket.write(bytes, () => socket.resetAndDestroy())
        await closed
      }),
    ),
  )
  assert.equal((await get(path)).status, 302)
  assert.equal(await tracker.metric('tracker_failures_total'), 0)
})

test('HTTP/1.1 200 comes without a body that the client did not ask for, in order, when requests are pipelined', async () => {
  const paths = ['/robots.txt', '/nothing', tracker.path({ url: 'https://example.com/1' }), '/robots.txt']
  const requests = paths.map((path, n) => line('GET', path).replace('close', n === 3 ? 'close' : 'keep-alive'))
  const { text } = await rawRequest(tracker.port, requests.join(''))
  assert.deepEqual(
    text.match(/HTTP\/1\.1 \d{3}/g),
    ['200', '404', '302', '200'].map(status => `HTTP/1.1 ${status}`),
  )
})

test('no bytes are answered 5xx, and none but a valid link leads anywhere', async () => {
  const bases = [
    line('GET', tracker.path({ action: 'open' }), 'User-Agent: x\r\nX-Forwarded-For: 1.2.3.4\r\n'),
    `${line('POST', tracker.path({ action: 'list_unsubscribe' }), 'Content-Length: 26\r\n')}List-Unsubscribe=One-Click`,
    `${line('POST', '/x', 'Transfer-Encoding: chunked\r\n')}5\r\nhello\r\n0\r\n\r\n`,
    line('GET', '/robots.txt'),
  ]
  const put = fc.oneof(
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map(byte => String.fromCharCode(byte)), maxLength: 6 }),
    fc.constantFrom(
      '\r\n',
      '\r\n\r\n',
      '\n',
      '\0',
      '%',
      '%00',
      '/',
      '//',
      '?',
      '#',
      ':',
      ' ',
      '\t',
      '=',
      '-1',
      '99999999999',
    ),
  )
  const changed = fc
    .tuple(fc.constantFrom(...bases), fc.array(fc.tuple(fc.nat(), fc.nat(8), put), { maxLength: 4 }))
    .map(([base, changes]) => {
      let text = base
      for (const [where, drop, add] of changes) {
        const at = where % (text.length + 1)
        text = text.slice(0, at) + add + text.slice(at + drop)
      }
      return text
    })
  await fc.assert(
    fc.asyncProperty(changed, async bytes => {
      const { text } = await rawRequest(tracker.port, bytes, 3000, true)
      assert.doesNotMatch(text, /HTTP\/1\.1 5\d\d|\r\nLocation:/)
    }),
    { numRuns: sized(400, 100_000) },
  )
})

test('what was refused is counted, and nothing failed', async () => {
  assert.ok(((await tracker.metric('tracker_refused_total{reason="path"}')) ?? 0) > 0)
  assert.ok(((await tracker.metric('tracker_answers_total{answer="not_found"}')) ?? 0) > 0)
  assert.equal(await tracker.metric('tracker_failures_total'), 0)
})

test('a revoked key is known after SIGHUP, and a damaged key file changes nothing', async () => {
  const path = tracker.path({ url: 'https://example.com/' })
  const signing = readFileSync(tracker.keyFile, 'utf8')
  try {
    writeFileSync(tracker.keyFile, 'damaged\n')
    tracker.process.kill('SIGHUP')
    await until('the tracker to be degraded', async () => {
      const health = await fetch(`http://127.0.0.1:${tracker.metricsPort}/health`)
      return health.status === 503 && (await health.text()).includes(tracker.keyFile)
    })
    assert.equal((await get(path)).status, 302)
    writeFileSync(tracker.keyFile, signing.replace('signing', 'revoked'))
    appendFileSync(tracker.keyFile, keyLine('k2', 'signing'))
    tracker.process.kill('SIGHUP')
    const revoked = await until('the key to be revoked', async () => {
      const answer = await get(path)
      return answer.status === 410 && answer
    })
    assert.match(await revoked.text(), /withdrawn/)
    assert.equal(revoked.headers.get('location'), null)
  } finally {
    writeFileSync(tracker.keyFile, signing)
    tracker.process.kill('SIGHUP')
    await until('the key to sign again', async () => (await get(path)).status === 302)
  }
})
