/** The JSON API and the pages of a running console. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { freePort } from '../support/process.ts'
import { postBatch, startConsole, storedEvents, type StartedConsole } from '../support/console.ts'

let it: StartedConsole
before(async () => {
  it = await startConsole(['--tracking-url=http://tracker.example:8888'])
})
after(() => it.stop())

let nextId = 1
function event(type: string, messageId: string, more: Readonly<Record<string, unknown>> = {}): string {
  const fields = {
    type,
    delv_method: 'esmtp',
    event_id: String(nextId++),
    message_id: messageId,
    timestamp: String(Math.floor(Date.now() / 1000)),
    ...more,
  }
  return JSON.stringify({ msys: { track_event: fields } })
}

async function get(path: string): Promise<{ status: number; headers: Headers; text: string }> {
  const answer = await fetch(it.url + path)
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

/** A GET with a Host header of one's choice, which fetch does not allow. */
function statusUnder(host: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(it.url + path, { headers: { host } }, answer => {
      answer.resume()
      resolve(answer.statusCode)
    })
      .once('error', reject)
      .end()
  })
}

test('events are NDJSON, newest last, and can be filtered', async () => {
  const beginning = new Date()
  await postBatch(it.url, [event('open', 'q1'), event('click', 'q2')])
  await postBatch(it.url, [event('click', 'q1')])
  const { headers } = await get('/api/events')
  assert.equal(headers.get('content-type'), 'application/x-ndjson')
  const of = async (query: string) =>
    (await storedEvents(it.url, query)).map(({ type, message_id: id }) => `${String(type)} ${String(id)}`)
  assert.deepEqual(await of('?message_id=q1'), ['open q1', 'click q1'])
  assert.deepEqual(await of('?type=click'), ['click q2', 'click q1'])
  assert.deepEqual(await of('?type=click&message_id=q2'), ['click q2'])
  assert.deepEqual(await of('?limit=1'), ['click q1'])
  assert.deepEqual(await of('?type=nothing'), [])
  assert.equal((await of(`?since=${beginning.toISOString()}`)).length, 3)
  assert.equal((await of(`?since=${Math.floor(beginning.getTime() / 1000)}`)).length, 3)
  assert.equal((await of(`?since=${Math.floor(Date.now() / 1000) + 3600}`)).length, 0)
  const [first] = await storedEvents(it.url)
  assert.deepEqual(await of(`?after=${Number(first?.['seq'])}&limit=1`), ['click q2'])
})

for (const query of ['since=yesterday', 'limit=0', 'limit=-1', 'after=x', 'type=a&type=b', 'unknown=1']) {
  test(`a question that makes no sense (${query}) is refused with 400`, async () => {
    const { status, text } = await get(`/api/events?${query}`)
    assert.equal(status, 400)
    assert.match(text, /"message":"[a-z]+/)
  })
}

test('many events stream with bounded memory while the reader is slow', async () => {
  const lines = Array.from({ length: 5_000 }, () => event('open', 'stream', { user_agent: 'x'.repeat(500) }))
  await postBatch(it.url, lines)
  const answer = await fetch(`${it.url}/api/events?message_id=stream`)
  let count = 0
  for await (const chunk of answer.body ?? []) count += Buffer.from(chunk).toString('latin1').split('\n').length - 1
  assert.equal(count, 5_000)
  // A reader that goes away in the middle.
  const leaving = await fetch(`${it.url}/api/events`)
  await leaving.body?.cancel()
  assert.equal((await get('/')).status, 200)
})

test('the page shows the latest, escapes everything and allows no script', async () => {
  const hostile = '<img src=x onerror=alert(1)>'
  await postBatch(it.url, [event('open', 'machine', { is_bot: true, user_agent: 'scanner' })])
  assert.match((await get('/?message_id=machine')).text, /\(machine\) scanner/)
  await postBatch(it.url, [
    event('click', `${hostile}"'`, {
      rcpt_to: `${hostile}@example.com`,
      target_link_url: `https://x.example/"><script>alert(2)</script>`,
    }),
  ])
  const transport = createTransport({ host: '127.0.0.1', port: it.smtpPort })
  await transport.sendMail({
    from: 'a@b.example',
    to: 'c@d.example',
    subject: '</title><script>alert(3)</script>',
    headers: { 'X-Hostile': '<script>alert(4)</script>' },
    text: '</pre><script>alert(5)</script>',
    html: '<html><head><title>t</title></head><body><a href="https://example.com/?a=1&amp;b=%22%3E&quot;><script>alert(6)</script>">x</a></body></html>',
    attachments: [{ filename: '<script>alert(7)</script>.txt', content: 'x' }],
  })
  const [mail] = (await (await fetch(`${it.url}/api/mailbox?limit=1`)).json()) as { id: string }[]
  for (const path of [
    '/',
    `/?message_id=${encodeURIComponent(hostile)}`,
    '/?type=%3Cscript%3E',
    '/?refresh=5',
    `/mail/${mail?.id}`,
  ]) {
    const { status, headers, text } = await get(path)
    assert.equal(status, 200, path)
    assert.doesNotMatch(text, /<script|<img/i, path)
    assert.match(headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'self'/)
    assert.doesNotMatch(headers.get('content-security-policy') ?? '', /script-src|unsafe/)
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
    assert.doesNotMatch(text, /(?:src|href)="(?!\/|#|data:,|https:\/\/example\.com\/)/)
  }
  const page = await get(`/mail/${mail?.id}`)
  assert.match(page.text, /<iframe[^>]*sandbox="allow-popups allow-popups-to-escape-sandbox"/)
  assert.match(page.text, /href="https:\/\/example\.com\/\?a=1&amp;b=%22%3E&quot;&gt;&lt;script&gt;/)
})

test('what refreshes keeps its filter', async () => {
  const { text } = await get('/?type=click&message_id=a%26b')
  assert.ok(text.includes('Events of <code>click, a&amp;b</code>'), text)
  const [refreshed] = /href="([^"]*refresh=5)"/.exec(text)?.slice(1) ?? []
  assert.equal(refreshed, '/?type=click&amp;message_id=a%26b&amp;refresh=5')
  const refreshing = await get(refreshed.replaceAll('&amp;', '&'))
  assert.ok(refreshing.text.includes('<a href="/?type=click&amp;message_id=a%26b">Stop refreshing</a>'))
})

test('the page stands texts that are no Unicode, NULs and times at the edge', async () => {
  const odd = '\\ud800\\u0000\\u202e\\u2028<'
  const line = event('click', 'ID', { rcpt_to: 'x', user_agent: 'x' }).replaceAll(/"(?:ID|x)"/g, `"${odd}"`)
  assert.equal((await postBatch(it.url, [line])).status, 200)
  const posted = await fetch(`${it.url}/api/v1/tpsp/custom-smtp/events`, {
    method: 'POST',
    headers: { 'x-sp-event-apikey': 'key' },
    body: `{"events":[{"message_id":"${odd}","event_type":"bounced","timestamp":"9999-12-31T23:59:59-23:59"},
      {"message_id":"x","event_type":"bounced","timestamp":"0000-01-01T00:00:00+23:59"}]}`,
  })
  assert.equal(posted.status, 200, await posted.text())
  const { status, text } = await get('/')
  assert.equal(status, 200, text)
  assert.doesNotMatch(text, /\u202e/)
  assert.equal((await storedEvents(it.url, '?limit=3')).length, 3)
})

test('the HTML of a mail is shown without scripts, and with images of the tracker only', async () => {
  const transport = createTransport({ host: '127.0.0.1', port: it.smtpPort })
  await transport.sendMail({
    from: 'a@b.example',
    to: 'c@d.example',
    html: '<!doctype html><html><head lang=en><title>t</title></head><body><script>x</script>y</body></html>',
  })
  const [mail] = (await (await fetch(`${it.url}/api/mailbox?limit=1`)).json()) as { id: string }[]
  const { text, headers } = await get(`/mail/${mail?.id}/html`)
  const policy = headers.get('content-security-policy') ?? ''
  assert.match(policy, /^sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'/)
  assert.match(policy, /img-src http:\/\/tracker\.example:8888 data:;/)
  assert.doesNotMatch(policy, /allow-scripts|allow-same-origin|script-src/)
  assert.match(text, /<head lang=en><base target="_blank"><title>/)
  const all = await get(`/mail/${mail?.id}/html?images=all`)
  assert.match(all.headers.get('content-security-policy') ?? '', /img-src http: https: data:;/)
})

test('a mail that can not be taken apart is still listed and can be fetched', async () => {
  const transport = createTransport({ host: '127.0.0.1', port: it.smtpPort })
  const nested =
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n' + '--b\r\nContent-Type: text/plain\r\n\r\nx\r\n'.repeat(3_000)
  await transport.sendMail({ envelope: { from: 'a@b.example', to: 'c@d.example' }, raw: nested })
  const [mail] = (await (await fetch(`${it.url}/api/mailbox?limit=1`)).json()) as { id: string }[]
  const { status, text } = await get(`/mail/${mail?.id}`)
  assert.equal(status, 200)
  assert.match(text, /can&#39;t be taken apart/)
  assert.equal((await get(`/mail/${mail?.id}/html`)).status, 404)
})

test('another host name is refused, so that a page elsewhere can read nothing (DNS rebinding)', async () => {
  for (const path of ['/', '/api/events', '/api/mailbox', '/mail/1', '/style.css', '/none']) {
    assert.equal(await statusUnder('evil.example', path), 403, path)
    assert.notEqual(await statusUnder('localhost:1234', path), 403, path)
  }
})

test('what does not exist is 404', async () => {
  for (const path of ['/none', '/mail/999', '/mail/x', '/mail/999/html', '/api', '/api/v1/ingest']) {
    assert.equal((await get(path)).status, 404, path)
  }
})

test('reached from elsewhere, pages and data ask for the key', async () => {
  const port = await freePort()
  const open = await startConsole([`--in-hostport=0.0.0.0:${port}`], { CONSOLE_API_KEY: 'the key' })
  const url = `http://127.0.0.1:${port}`
  const statusOf = async (path: string, authorization?: string) =>
    (await fetch(url + path, { headers: authorization === undefined ? {} : { authorization } })).status
  const basic = (password: string) => `Basic ${Buffer.from(`anyone:${password}`).toString('base64')}`
  try {
    for (const path of ['/', '/api/events', '/api/mailbox', '/mail/1/html']) {
      assert.equal(await statusOf(path), 401, path)
      assert.equal(await statusOf(path, basic('wrong')), 401, path)
      assert.notEqual(await statusOf(path, basic('the key')), 401, path)
      assert.notEqual(await statusOf(path, 'the key'), 401, path)
    }
  } finally {
    await open.stop()
  }
})
