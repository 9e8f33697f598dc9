/** Both ingestion APIs of a running console: what they take, what they refuse, what they tell out of band. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { postBatch, startConsole, storedEvents, type StartedConsole } from '../support/console.ts'

const ingest = '/api/v1/ingest/events'
const customSmtp = '/api/v1/tpsp/custom-smtp/events'
const headers = { authorization: 'key', 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }

let it: StartedConsole
let locked: StartedConsole
before(async () => {
  it = await startConsole()
  locked = await startConsole([], { CONSOLE_API_KEY: 'the right key' })
})
after(async () => {
  await it.stop()
  await locked.stop()
})

let nextId = 1
function click(more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    msys: {
      track_event: {
        type: 'click',
        delv_method: 'esmtp',
        event_id: String(nextId++),
        message_id: '00008a67385e4e6d9e27',
        rcpt_to: 'ann@example.com',
        timestamp: String(Math.floor(Date.now() / 1000)),
        target_link_url: 'https://example.com/',
        ...more,
      },
    },
  })
}

async function post(path: string, body: string | Uint8Array | undefined, given: Record<string, string>, url = it.url) {
  const answer = await fetch(url + path, { method: 'POST', headers: given, body: body ?? null })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

function messageOf(body: Readonly<Record<string, unknown>>): string {
  return (body['errors'] as { message: string }[])[0]?.message ?? ''
}

interface Outcome {
  readonly batch_id: string
  readonly type: string
  readonly error_type?: string
  readonly retryable: boolean
  readonly number_succeeded: number
  readonly number_failed: number
  readonly number_duplicates: number
  readonly href?: string
}

async function outcomes(query: string): Promise<Outcome[]> {
  const answer = await fetch(`${it.url}/api/v1/events/ingest${query}`, { headers: { authorization: 'key' } })
  assert.equal(answer.status, 200)
  return ((await answer.json()) as { results: Outcome[] }).results
}

async function upload(lines: readonly string[]): Promise<string> {
  const answer = await postBatch(it.url, lines)
  assert.equal(answer.status, 200)
  const { id } = ((await answer.json()) as { results: { id: string } }).results
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  return id
}

test('a batch is accepted and its events are stored as they came', async () => {
  const lines = [click({ message_id: 'stored-1' }), click({ message_id: 'stored-1', type: 'open' })]
  const id = await upload(lines)
  const stored = await storedEvents(it.url, '?message_id=stored-1')
  assert.deepEqual(
    stored.map(({ msys }) => msys),
    lines.map(line => (JSON.parse(line) as { msys: unknown }).msys),
  )
  const { type, source, recipient, batch, message_id: messageId } = stored[1] ?? {}
  assert.deepEqual(
    [type, source, recipient, batch, messageId],
    ['open', 'sparkpost', 'ann@example.com', id, 'stored-1'],
  )
  assert.deepEqual(
    (await outcomes(`?batch_ids=${id}`)).map(o => [o.batch_id, o.type, o.number_succeeded, o.number_failed]),
    [[id, 'success', 2, 0]],
  )
})

const refusals: readonly (readonly [
  what: string,
  status: number,
  body: () => Uint8Array,
  given: Record<string, string>,
])[] = [
  ['no key', 401, () => gzipSync(click()), { ...headers, authorization: '' }],
  ['no content type', 415, () => gzipSync(click()), { ...headers, 'content-type': '' }],
  ['JSON as content type', 415, () => gzipSync(click()), { ...headers, 'content-type': 'application/json' }],
  [
    'no content encoding',
    400,
    () => Buffer.from(click()),
    { authorization: 'key', 'content-type': 'application/x-ndjson' },
  ],
  ['a body that is not gzip', 400, () => Buffer.from(click()), headers],
  ['an empty body', 400, () => Buffer.alloc(0), headers],
  ['a body over 5 MB', 413, () => gzipSync(randomBytes(8_000_000), { level: 1 }), headers],
  ['a body that inflates to over 5 MB', 413, () => gzipSync(Buffer.alloc(6_000_000, '\n')), headers],
  ['a bomb', 413, () => gzipSync(Buffer.alloc(200_000_000)), headers],
]

for (const [what, status, body, given] of refusals) {
  test(`a batch with ${what} is refused with ${status}`, async () => {
    const answer = await post(ingest, body(), given)
    assert.equal(answer.status, status)
    assert.notEqual(messageOf(answer.body), '')
  })
}

test('a refused upload tells its status even while the client is still sending', async () => {
  const body = gzipSync(randomBytes(30_000_000), { level: 1 })
  for (let n = 0; n < 5; n++) assert.equal((await post(ingest, body, headers)).status, 413)
  for (let n = 0; n < 5; n++) assert.equal((await post(ingest, body, { 'content-type': 'x/y' })).status, 401)
})

test('a bomb costs bounded memory', async () => {
  const residentBytes = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${it.process.pid}/status`, 'utf8'))?.[1]) * 1024
  const bomb = gzipSync(Buffer.alloc(200_000_000))
  await post(ingest, bomb, headers)
  const beforehand = residentBytes()
  for (let n = 0; n < 10; n++) assert.equal((await post(ingest, bomb, headers)).status, 413)
  assert.ok(residentBytes() - beforehand < 100_000_000)
})

test('what is wrong inside a batch is told out of band', async () => {
  const day = 24 * 3600
  const old = click({ timestamp: String(Math.floor(Date.now() / 1000) - day) })
  const id = await upload([click(), '{}', old, 'no JSON', click({ event_id: 7 })])
  const [outcome] = await outcomes(`?batch_ids=${id}`)
  assert.deepEqual(
    [outcome?.type, outcome?.error_type, outcome?.retryable, outcome?.number_succeeded, outcome?.number_failed],
    ['error', 'validation', false, 1, 4],
  )
  const answer = await fetch(it.url + (outcome?.href ?? ''), { headers: { authorization: 'key' } })
  const failures = gunzipSync(Buffer.from(await answer.arrayBuffer())).toString()
  const lines = failures
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(lines.map(({ line, event }) => [line, event]).slice(0, 2), [
    [2, '{}'],
    [3, old],
  ])
  assert.match(String(lines[1]?.['message']), /24 hours/)
})

test('a damaged and an empty batch are accepted and told out of band', async () => {
  const whole = gzipSync(`${click()}\n`.repeat(20))
  const damaged = await post(ingest, whole.subarray(0, whole.length - 12), headers)
  const empty = await post(ingest, gzipSync(''), headers)
  const ids = [damaged, empty].map(({ body }) => (body['results'] as { id: string }).id)
  assert.deepEqual(
    (await outcomes(`?batch_ids=${ids.join(',')}`)).map(o => o.error_type),
    ['decompress', 'empty_batch'],
  )
})

test('the same batch, and the same event in another, are recognised', async () => {
  const lines = [click({ message_id: 'twice' }), click({ message_id: 'twice' })]
  const [first, again, mixed] = [
    await upload(lines),
    await upload(lines),
    await upload([...lines, click({ message_id: 'twice' })]),
  ]
  assert.deepEqual(
    (await outcomes(`?batch_ids=${first},${again},${mixed}`)).map(o => [
      o.error_type,
      o.number_succeeded,
      o.number_duplicates,
    ]),
    [
      [undefined, 2, 0],
      ['duplicate_batch', 0, 2],
      [undefined, 1, 2],
    ],
  )
  assert.equal((await storedEvents(it.url, '?message_id=twice')).length, 3)
})

test('outcomes can be filtered and paged', async () => {
  const ids = [await upload([click()]), await upload(['{}']), await upload([click()])]
  const all = `?batch_ids=${ids.join(',')}`
  assert.deepEqual(
    (await outcomes(`${all}&events=error`)).map(o => o.batch_id),
    [ids[1]],
  )
  assert.deepEqual((await outcomes(`${all}&error_types=duplicate_batch`)).length, 0)
  assert.deepEqual((await outcomes(`${all}&retryable=true`)).length, 0)
  assert.deepEqual((await outcomes('?batch_ids=00000000-0000-4000-8000-000000000000')).length, 0)
  const seen: string[] = []
  for (let next: string | undefined = '/api/v1/events/ingest?per_page=2'; next !== undefined;) {
    const answer = await fetch(it.url + next, { headers: { authorization: 'key' } })
    const page = (await answer.json()) as { results: Outcome[]; links: { next?: string } }
    seen.push(...page.results.map(o => o.batch_id))
    next = page.links.next
  }
  assert.equal(new Set(seen).size, seen.length)
  assert.ok(ids.every(id => seen.includes(id)))
  assert.equal((await fetch(`${it.url}/api/v1/events/ingest`)).status, 401)
  assert.equal((await fetch(`${it.url}${ingest}/failures/x`, { headers: { authorization: 'key' } })).status, 404)
})

test('a large batch is stored while others are served', async () => {
  const lines = Array.from({ length: 14_000 }, () => click({ message_id: 'large', padding: 'x'.repeat(80) }))
  const id = await upload(lines)
  assert.deepEqual(
    (await outcomes(`?batch_ids=${id}`)).map(o => o.number_succeeded),
    [14_000],
  )
  assert.equal((await storedEvents(it.url, '?message_id=large')).length, 14_000)
})

test('custom-SMTP events are accepted and stored', async () => {
  const events = [
    {
      message_id: 'uuid-1',
      event_type: 'delivered',
      timestamp: '2026-02-19T12:00:00Z',
      smtp_code: 250,
      smtp_description: 'OK',
      recipient: 'a@b.example',
    },
    { message_id: 'uuid-1', event_type: 'soft_bounced' },
  ]
  const answer = await post(customSmtp, JSON.stringify({ events }), {
    'x-sp-event-apikey': 'key',
    'content-type': 'application/json',
  })
  assert.equal(answer.status, 200)
  const stored = await storedEvents(it.url, '?message_id=uuid-1')
  assert.partialDeepStrictEqual(stored, [
    { ...events[0]!, source: 'sendpost', type: 'delivered', at: '2026-02-19T12:00:00.000Z' },
    { ...events[1]!, source: 'sendpost', type: 'soft_bounced' },
  ])
})

const customRefusals: readonly (readonly [what: string, status: number, body: string, fault: RegExp])[] = [
  ['an empty body', 400, '', /empty/],
  ['no events', 400, '{"events":[]}', /no events/],
  [
    'an invalid event',
    400,
    '{"events":[{"message_id":"x","event_type":"delivered"},{"message_id":"x","event_type":"opened"}]}',
    /^events\[1\]\.event_type/,
  ],
  [
    'a timestamp that is not RFC 3339',
    400,
    '{"events":[{"message_id":"x","event_type":"delivered","timestamp":"today"}]}',
    /^events\[0\]\.timestamp/,
  ],
  ['a body that is too large', 413, 'x'.repeat(3_000_000), /larger than/],
]

for (const [what, status, body, fault] of customRefusals) {
  test(`custom-SMTP events with ${what} are refused with ${status} and nothing is stored`, async () => {
    const earlier = (await storedEvents(it.url, '?message_id=x')).length
    const answer = await post(customSmtp, body, { 'x-sp-event-apikey': 'key' })
    assert.equal(answer.status, status)
    assert.match(messageOf(answer.body), fault)
    assert.equal((await storedEvents(it.url, '?message_id=x')).length, earlier)
  })
}

test('custom-SMTP events without a key are refused with 401', async () => {
  const body = '{"events":[{"message_id":"x","event_type":"delivered"}]}'
  assert.equal((await post(customSmtp, body, {})).status, 401)
  assert.equal((await post(customSmtp, body, { 'x-sp-event-apikey': '' })).status, 401)
  assert.equal((await post(customSmtp, body, { authorization: 'key' })).status, 401)
})

test('with --api-key both APIs take that key only', async () => {
  assert.equal((await postBatch(locked.url, [click()])).status, 401)
  assert.equal((await postBatch(locked.url, [click()], { authorization: 'the right key' })).status, 200)
  const basic = `Basic ${Buffer.from('the right key:').toString('base64')}`
  assert.equal((await postBatch(locked.url, [click()], { authorization: basic })).status, 200)
  const body = '{"events":[{"message_id":"x","event_type":"delivered"}]}'
  assert.equal((await post(customSmtp, body, { 'x-sp-event-apikey': 'key' }, locked.url)).status, 401)
  assert.equal((await post(customSmtp, body, { 'x-sp-event-apikey': 'the right key' }, locked.url)).status, 200)
})

test('refusals and events are counted', async () => {
  const metrics = await (await fetch(`${it.metricsUrl}/metrics`)).text()
  assert.match(metrics, /console_events_total\{source="sparkpost",outcome="stored"\} [1-9]/)
  assert.match(metrics, /console_requests_refused_total\{source="sparkpost",status="413"\} [1-9]/)
  assert.match(metrics, /console_requests_refused_total\{source="sendpost",status="400"\} [1-9]/)
  assert.match(metrics, /console_events_kept \d+/)
})
