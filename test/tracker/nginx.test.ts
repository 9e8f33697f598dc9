/** The example configuration for nginx, in front of a real tracker. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { urlUnitsMax } from '../../lib/link/url-code.ts'
import { newMessageId } from '../../lib/record/message-id.ts'
import { freePort, startProcess, until, waitForPort, type StartedProcess } from '../support/process.ts'
import { queuedEngagements } from '../support/queued-events.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { startTracker, type TestTracker } from '../support/tracker.ts'

const example = readFileSync(new URL('../../config/nginx/tracker.conf', import.meta.url), 'utf8')

let redis: TestRedis
let tracker: TestTracker
let nginx: StartedProcess
let port: number
const dir = mkdtempSync(join(tmpdir(), 'mta-nginx-'))

/** The example with places of this test; each replacement must find what it replaces. */
function adapted(places: readonly (readonly [from: RegExp, to: string])[]): string {
  let text = example
  for (const [from, to] of places) {
    assert.match(text, from)
    text = text.replaceAll(new RegExp(from, 'g'), to)
  }
  return text
}

before(async () => {
  redis = await startRedis()
  tracker = await startTracker({ redisUrl: redis.url, args: ['--trusted-proxies', '127.0.0.1'] })
  port = await freePort()
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=track.example.com', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')],
    ],
    { stdio: 'ignore' },
  )
  mkdirSync(join(dir, 'temp'))
  writeFileSync(
    join(dir, 'tracker.conf'),
    adapted([
      [/127\.0\.0\.1:8888/, `127.0.0.1:${tracker.port}`],
      [/ {4}listen (?:\[::\]:)?80;\n/, ''],
      [/ {4}listen \[::\]:443 ssl http2;\n/, ''],
      [/listen 443 /, `listen 127.0.0.1:${port} `],
      [/\/var\/log\/nginx\/error\.log/, join(dir, 'error.log')],
      [/\/etc\/letsencrypt\/live\/track\.example\.com\/fullchain\.pem/, join(dir, 'cert.pem')],
      [/\/etc\/letsencrypt\/live\/track\.example\.com\/privkey\.pem/, join(dir, 'key.pem')],
      // The limits as they are, in numbers that a test can reach.
      [/rate=100r\/s/, 'rate=1r/s'],
      [/burst=500/, 'burst=40'],
      [/tracker_connections 200/, 'tracker_connections 5'],
    ]),
  )
  writeFileSync(
    join(dir, 'nginx.conf'),
    `daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log notice;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 512; }
http {
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${dir}/temp/${name};`).join('\n')}
include ${dir}/tracker.conf;
}
`,
  )
  nginx = await startProcess('nginx', ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')], {
    env: { PATH: `${process.env['PATH']}:/usr/sbin` },
  })
  const ended = nginx.exited.then(() => {
    throw new Error(`nginx did not start: ${nginx.output.stderr}`)
  })
  await Promise.race([waitForPort(port), ended])
  ended.catch(() => undefined)
})

after(async () => {
  await nginx?.stop()
  await tracker?.stop()
  await redis?.stop()
  rmSync(dir, { recursive: true, force: true })
})

interface Got {
  readonly status: number
  readonly location: string | undefined
  readonly body: string
}

/** Each test comes from an address of its own, for limits are by address. */
function get(path: string, from: string, headers: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', localAddress: from, path, headers, agent: false as const }
    const asked = request({ ...options, rejectUnauthorized: false, maxHeaderSize: 131_072 }, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.once('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          location: answer.headers.location,
          body: Buffer.concat(chunks).toString('latin1'),
        }),
      )
    })
    asked.once('error', reject).end()
  })
}

test('the example says what the tests below rely on', () => {
  assert.match(example, /listen 443 ssl http2;/)
  assert.match(example, /--trusted-proxies 127\.0\.0\.1/)
  assert.match(example, /proxy_set_header X-Forwarded-For \$remote_addr;/)
})

test('the longest URL that a link can hold passes nginx', async () => {
  const start = 'https://example.com/?q='
  const url = start + '日'.repeat(urlUnitsMax - start.length)
  const { status, location = '' } = await get(tracker.path({ messageId: newMessageId(Date.now()), url }), '127.0.0.3')
  assert.equal(status, 302)
  assert.equal(decodeURI(location), url)
})

test('links and pixels work through nginx, and the client is the one that came to it', async () => {
  const messageId = newMessageId(Date.now())
  const url = 'https://example.com/%E4%FC/a%2Fb//c/../d?x=[1]#f'
  const click = await get(tracker.path({ messageId, url }), '127.0.0.2', {
    'X-Forwarded-For': '6.6.6.6',
    'X-Real-IP': '6.6.6.6',
  })
  assert.deepEqual([click.status, click.location], [302, url])
  const pixel = await get(tracker.path({ messageId, action: 'open' }), '127.0.0.2')
  assert.deepEqual([pixel.status, pixel.body.length], [200, 43])
  const events = (await queuedEngagements(redis.client)).filter(event => event.messageId === messageId)
  assert.deepEqual(
    events.map(event => event.ip),
    ['127.0.0.2', '127.0.0.2'],
  )
})

test('the longest link and the longest redirect get through', async () => {
  const url = `https://example.com/${'日'.repeat(1500)}`
  const path = tracker.path({ url })
  const { status, location } = await get(path, '127.0.0.3')
  assert.equal(status, 302)
  assert.equal(decodeURI(location ?? ''), url)
})

test('HTTP/2 works', async () => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  try {
    const stream = session.request({ ':path': tracker.path({ action: 'open' }) })
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
      stream.once('response', resolve).once('error', reject)
    })
    stream.resume()
    assert.equal(headers[':status'], 200)
    assert.equal(headers['content-type'], 'image/gif')
    assert.equal(session.alpnProtocol, 'h2')
  } finally {
    session.destroy()
  }
})

test('a flood from one address is held back, others are not', async () => {
  const path = tracker.path({ action: 'open' })
  const statuses: number[] = []
  await until('429', async () => {
    statuses.push((await get(path, '127.0.0.4')).status)
    return statuses.at(-1) === 429
  })
  assert.ok(statuses.length > 40)
  assert.equal((await get(path, '127.0.0.5')).status, 200)
})

test('one address has a bounded number of connections, others have theirs', async () => {
  const path = tracker.path({ action: 'list_unsubscribe' })
  const held = Array.from({ length: 5 }, () => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      localAddress: '127.0.0.6',
    } as never)
    socket.on('error', () => undefined)
    // A form that does not come to its end.
    socket.write(`POST ${path} HTTP/1.1\r\nHost: track.example.com\r\nContent-Length: 26\r\n\r\nList`)
    return socket
  })
  try {
    await until('429', async () => (await get(path, '127.0.0.6')).status === 429)
    assert.equal((await get(path, '127.0.0.7')).status, 200)
  } finally {
    for (const socket of held) socket.destroy()
  }
})

test('what nginx wrote has no links', async () => {
  // Each is an error for nginx, which tells the request line with it.
  const path = tracker.path({ url: 'https://example.com/' })
  assert.equal((await get(path, '127.0.0.8', { 'Content-Length': '1000000000' })).status, 413)
  await tracker.stop()
  assert.equal((await get(path, '127.0.0.8')).status, 502)
  const log = readFileSync(join(dir, 'error.log'), 'utf8')
  assert.doesNotMatch(log, /\[(?:warn|error|crit|alert|emerg)\]/)
  assert.doesNotMatch(log, /GET|POST/)
})
