/**
 * The whole flow with real processes: generator (swaks) → wrapper → Postfix → mailbox; Postfix's log → agent; accounting
 * pipe → acct_etl; pixel and link → tracker → queue → feeder; all of it seen at the ingestion endpoint.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { load } from 'cheerio'
import { type ParsedMail, simpleParser } from 'mailparser'
import { request } from 'undici'
import { startPostfix, type PostfixInstance } from '../support/postfix.ts'
import { freePort, startProcess, until, type StartedProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const recipient = 'casey@customer.example'
const apiKey = 'end-to-end-key'

/** Links of the message below, in order, as their author wrote them with entities decoded. */
const targets = [
  'https://shop.example/tea?from=newsletter&colour=gr%C3%BCn%2Fblau&size=[2]',
  'http://shop.example/books/harbour-lane?utm_source=newsletter&utm_medium=email',
  'https://shop.example/caf\u{e9}/\u{1f375}#menu',
]

const message = `From: Harbour Lane Shop <news@shop.example>
To: Casey <${recipient}>
Subject: =?utf-8?Q?Tee_f=C3=BCr_zwei?=
Date: Sat, 21 Nov 2026 09:00:00 +0000
Message-ID: <e2e@shop.example>
X-Job: e2e-job
X-Sp-Subaccount-Id: 42
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="e2e"

preamble
--e2e
Content-Type: text/plain; charset=utf-8

Tea for two: ${targets[0]}
.a line that begins with a dot
--e2e
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<html><body>
<p><a class="x"  href="${targets[0]!.replaceAll('&', '&amp;')}">tea</a>
<A HREF='${targets[1]}'>books</A> <a href=${targets[2]}>caf\u{e9}</a>
<a href="mailto:hello@shop.example">write</a> <a href="#top">up</a></p>
</body></html>
--e2e--
epilogue
`

let dir: string
let redis: TestRedis
let postfix: PostfixInstance
let consoleUrl: string
let mailboxPort: number
let trackerUrl: string
let wrapperPort: number
let keys: string
const processes: StartedProcess[] = []

/** Starts a process of ours and waits until it says that it is healthy. */
async function launch(
  name: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<StartedProcess> {
  const metrics = `127.0.0.1:${await freePort()}`
  const started = await startProcess('node', [`cmd/${name}.ts`, ...args, '--metrics-hostport', metrics], {
    cwd: root,
    env: { REDIS_URL: redis.url, LINK_KEYS_FILE: keys, ...env },
  })
  processes.push(started)
  await until(
    `${name} to be healthy`,
    async () => {
      if (started.child.exitCode !== null) throw new Error(started.output.stdout + started.output.stderr)
      const answer = await request(`http://${metrics}/health`)
      const body = await answer.body.text()
      if (answer.statusCode !== 200) throw new Error(body)
      return true
    },
    30_000,
  )
  return started
}

interface EventLine {
  readonly source: string
  readonly type: string
  readonly message_id: string
  readonly recipient: string
  readonly [name: string]: unknown
}

async function events(query: string): Promise<EventLine[]> {
  const answer = await request(`${consoleUrl}/api/events?${query}`)
  const text = await answer.body.text()
  assert.equal(answer.statusCode, 200, text)
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as EventLine)
}

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mta-e2e-'))
  keys = join(dir, 'link-keys')
  await run(process.execPath, ['cmd/linktool.ts', 'keys', 'new', '--link-keys', keys], { cwd: root })
  redis = await startRedis()
  const [consolePort, trackerPort, postfixPort] = [await freePort(), await freePort(), await freePort()]
  mailboxPort = await freePort()
  wrapperPort = await freePort()
  consoleUrl = `http://127.0.0.1:${consolePort}`
  trackerUrl = `http://127.0.0.1:${trackerPort}`
  await launch(
    'console',
    [
      ...['--in-hostport', `127.0.0.1:${consolePort}`, '--smtp-hostport', `127.0.0.1:${mailboxPort}`],
      ...['--data-dir', join(dir, 'console')],
    ],
    { CONSOLE_API_KEY: apiKey },
  )
  postfix = await startPostfix({
    port: postfixPort,
    settings: {
      relayhost: `[127.0.0.1]:${mailboxPort}`,
      header_checks: `regexp:${join(root, 'config/postfix/header_checks')}`,
      nested_header_checks: '',
      mime_header_checks: '',
      enable_long_queue_ids: 'yes',
    },
  })
  await launch('tracker', ['--in-hostport', `127.0.0.1:${trackerPort}`, '--spill-dir', join(dir, 'spill')])
  await launch(
    'feeder',
    [...['--endpoint', consoleUrl, '--batch-age', '200ms', '--dead-letter-dir', join(dir, 'dead')]],
    { SPARKPOST_API_KEY_INGEST: apiKey },
  )
  await launch(
    'agent',
    [
      ...['--log-path', postfix.logFile, '--state-dir', join(dir, 'agent'), '--batch-age', '200ms'],
      ...['--endpoint', `${consoleUrl}/api/v1/tpsp/custom-smtp/events`],
    ],
    { SENDPOST_API_KEY: apiKey },
  )
  await launch('wrapper', [
    ...['--in-hostport', `127.0.0.1:${wrapperPort}`, '--out-hostport', `127.0.0.1:${postfixPort}`, '--out-tls', 'none'],
    ...['--tracking-url', trackerUrl, '--track-initial-open'],
  ])
})

after(async () => {
  for (const started of processes.toReversed()) await started.stop()
  await postfix?.stop()
  await redis?.stop()
  rmSync(dir, { recursive: true, force: true })
})

test('a message goes out wrapped, and all that becomes of it comes back as events', async () => {
  // Out: a real client, a real MTA.
  // swaks itself ends the last line.
  const file = join(dir, 'message.eml')
  writeFileSync(file, message.trimEnd())
  const swaks = await run('swaks', [
    ...['--server', `127.0.0.1:${wrapperPort}`, '--from', 'bounce@shop.example', '--to', recipient],
    ...['--data', `@${file}`],
  ])
  assert.match(swaks.stdout, /250 2\.0\.0 Ok: queued as/, "Postfix's own reply, passed on")

  const mail = await until('the mail to arrive', async () => {
    const answer = await request(`${consoleUrl}/api/mailbox`)
    return ((await answer.body.json()) as { id: string; from: string; to: string[] }[])[0]
  })
  assert.equal(mail.from, 'bounce@shop.example')
  assert.deepEqual(mail.to, [recipient])
  const answer = await request(`${consoleUrl}/api/mailbox/${mail.id}`)
  assert.equal(answer.headers['content-type'], 'message/rfc822')
  const raw = Buffer.from(await answer.body.arrayBuffer())

  // Only what must change has changed.
  const parsed = await simpleParser(raw)
  const messageId = headerText(parsed, 'x-sp-message-id')
  const uuid = headerText(parsed, 'x-sendpost-message-uuid')
  assert.match(messageId, /^0000[0-9a-f]{16}$/)
  assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
  const original = message.replaceAll('\n', '\r\n')
  const delivered = raw.toString('utf8')
  const upToHtml = original.slice(0, original.indexOf('<html>'))
  assert.ok(delivered.includes(upToHtml), 'headers, preamble and text part are byte for byte as they were sent')
  assert.ok(delivered.endsWith('</body></html>\r\n--e2e--\r\nepilogue\r\n'), 'and so is the end')

  const html = load(typeof parsed.html === 'string' ? parsed.html : '')
  const links = html('a')
    .toArray()
    .map(link => link.attribs['href']!)
  assert.deepEqual(links.slice(3), ['mailto:hello@shop.example', '#top'])
  for (const link of links.slice(0, 3)) assert.ok(link.startsWith(`${trackerUrl}/`), link)
  const pixels = html('img')
    .toArray()
    .map(image => image.attribs['src']!)
  assert.equal(pixels.length, 2, 'one pixel at the top, one at the bottom')
  assert.ok(!delivered.includes(encodeURIComponent(recipient)) && !links.some(link => link.includes('casey')))

  // What the MTA made of it: Postfix's log, through the agent.
  const [outcome] = await until('the agent to report the delivery', async () => {
    const found = await events(`type=delivered&message_id=${uuid}`)
    return found.length > 0 && found
  })
  assert.equal(outcome?.recipient, recipient)
  assert.equal(outcome['smtp_code'], 250)
  assert.equal(outcome.source, 'sendpost')

  // What the recipient does with it: pixels and a link.
  for (const pixel of pixels) {
    const image = await request(pixel, { headers: { 'user-agent': 'EndToEnd/1.0' } })
    assert.equal(image.statusCode, 200)
    assert.equal(image.headers['content-type'], 'image/gif')
    assert.equal(Buffer.from(await image.body.arrayBuffer()).toString('latin1', 0, 6), 'GIF89a')
  }
  for (const [index, link] of links.slice(0, 3).entries()) {
    const redirect = await request(link, { headers: { 'user-agent': 'EndToEnd/1.0' } })
    await redirect.body.dump()
    assert.equal(redirect.statusCode, 302)
    assert.equal(redirect.headers['location'], asHeader(targets[index]!))
  }

  const uploaded = await until('the feeder to upload the engagement', async () => {
    const found = (await events(`message_id=${messageId}`)).filter(event => event.source === 'sparkpost')
    return found.length >= 5 && found
  })
  const byType = (type: string) => uploaded.filter(event => event.type === type)
  assert.equal(byType('initial_open').length, 1)
  assert.equal(byType('open').length, 1)
  assert.deepEqual(
    byType('click')
      .map(event => engagement(event).target_link_url)
      .toSorted(),
    targets.toSorted(),
  )
  assert.equal(new Set(uploaded.map(event => engagement(event).event_id)).size, 5, 'every event has an id of its own')
  for (const event of uploaded) {
    const track = engagement(event)
    assert.match(track.event_id, /^\d{1,19}$/)
    assert.ok(BigInt(track.event_id) < 2n ** 63n)
    assert.match(track.timestamp, /^\d{10}$/)
    assert.equal(track.delv_method, 'esmtp')
    assert.equal(track.rcpt_to, recipient)
    assert.equal(track.subaccount_id, 42)
    assert.equal(track.user_agent, 'EndToEnd/1.0')
  }
  await nothingIsLeft()
})

test('an accounting record says who a message was for that the wrapper never saw', async () => {
  const messageId = '0000aa55cc33bb44dd22'
  const etl = await startProcess('node', ['cmd/acct_etl.ts', '--spill-dir', join(dir, 'spill-etl')], {
    cwd: root,
    env: { REDIS_URL: redis.url },
    input: `type,rcpt,header_x-sp-message-id,header_x-sp-subaccount-id\r\nd,robin@customer.example,${messageId},7\r\n`,
  })
  const end = await etl.exited
  assert.equal(end.code, 0, etl.output.stdout + etl.output.stderr)
  const { stdout } = await run(
    process.execPath,
    [
      ...['cmd/linktool.ts', 'encode', '--action', 'click', '--message-id', messageId, '--link-keys', keys],
      ...['--target-link-url', 'https://shop.example/', '--tracking-url', trackerUrl],
    ],
    { cwd: root },
  )
  const redirect = await request(stdout.trim())
  await redirect.body.dump()
  assert.equal(redirect.statusCode, 302)
  assert.equal(redirect.headers['location'], 'https://shop.example/')
  const [click] = await until('the click to be uploaded', async () => {
    const found = await events(`type=click&message_id=${messageId}`)
    return found.length > 0 && found
  })
  assert.equal(engagement(click!).rcpt_to, 'robin@customer.example')
  assert.equal(engagement(click!).subaccount_id, 7)
  await nothingIsLeft()
})

test('a link that was not signed here leads nowhere', async () => {
  for (const token of ['', 'x', 'favicon.ico', '1k1AAAAAAAAAAAAAAAAcAAAAAAAAAAA', '%00', '..%2f..%2fetc%2fpasswd']) {
    const answer = await request(`${trackerUrl}/${token}`)
    await answer.body.dump()
    assert.ok(answer.statusCode >= 400 && answer.statusCode < 500, `${token}: ${answer.statusCode}`)
  }
})

function headerText(mail: ParsedMail, name: string): string {
  const value = mail.headers.get(name)
  assert.ok(typeof value === 'string', name)
  return value
}

interface TrackEvent {
  readonly event_id: string
  readonly timestamp: string
  readonly delv_method: string
  readonly rcpt_to: string
  readonly subaccount_id: number
  readonly user_agent: string
  readonly target_link_url: string
}

function engagement(event: EventLine): TrackEvent {
  return (event['msys'] as { track_event: TrackEvent }).track_event
}

/** A URL as a Location header carries it: what is not ASCII in percent-encoded UTF-8, all else as it is. */
function asHeader(url: string): string {
  return url.replaceAll(/[^\x21-\x7e]+/gu, encodeURIComponent)
}

/** Every event that was queued was uploaded and then deleted. */
async function nothingIsLeft(): Promise<void> {
  await until('the queue to be empty', async () => {
    for (const key of await redis.client.keys('mta:*:events')) if ((await redis.client.xlen(key)) > 0) return false
    return true
  })
}
