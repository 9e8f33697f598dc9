import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { archiveOperations } from './archive-operations.ts'
import type { EventFilter } from './event-store.ts'
import type { ReceivedEvent } from './received-event.ts'

const unbounded = { eventsMax: 1e9, mailsMax: 1e9, bytesMax: 1e12 }
const start = Date.parse('2026-02-19T12:00:00Z')

function openAt(t: TestContext, bounds = unbounded) {
  const dir = mkdtempSync(join(tmpdir(), 'console-'))
  const clock = { now: start }
  const open = () => archiveOperations(dir, bounds, () => clock.now)
  const opened = { dir, clock, archive: open(), open }
  t.after(async () => {
    await opened.archive.close()
    rmSync(dir, { recursive: true })
  })
  return opened
}

function outcome(n: number, more: Partial<ReceivedEvent> = {}): ReceivedEvent {
  return {
    source: 'sendpost',
    type: 'delivered',
    messageId: `m${n}`,
    body: `{"message_id":"m${n}","event_type":"delivered"}`,
    ...more,
  }
}

function clickLine(id: string, more: Readonly<Record<string, unknown>> = {}): string {
  const fields = {
    type: 'click',
    delv_method: 'esmtp',
    event_id: id,
    message_id: 'm',
    timestamp: String(start / 1000),
    ...more,
  }
  return `${JSON.stringify({ msys: { track_event: fields } })}\n`
}

type Archive = ReturnType<typeof archiveOperations>

function readAll(archive: Archive, filter: EventFilter = {}, limit?: number): Record<string, unknown>[] {
  let text = ''
  for (let next = archive.eventWindow(filter, limit), more = true; more;) {
    const lines = archive.eventLines(filter, next, 3)
    text += lines.text
    more = lines.next !== undefined
    next = lines.next ?? next
  }
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as Record<string, unknown>)
}

const idsOf = (lines: readonly Record<string, unknown>[]) => lines.map(line => line['message_id'])

test('the archive gives events back in the order they came, whatever the page size', async t => {
  const { archive } = openAt(t)
  await archive.addEvents(Array.from({ length: 10 }, (_, n) => outcome(n)))
  assert.deepEqual(idsOf(readAll(archive)), ['m0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7', 'm8', 'm9'])
})

test('the archive filters by type, message id, recipient, time and place', async t => {
  const { archive, clock } = openAt(t)
  await archive.addEvents([outcome(0), outcome(1, { type: 'bounced', recipient: 'a@b.example' })])
  clock.now += 5_000
  await archive.addEvents([outcome(2), outcome(1)])
  assert.deepEqual(idsOf(readAll(archive, { type: 'bounced' })), ['m1'])
  assert.deepEqual(idsOf(readAll(archive, { messageId: 'm1' })), ['m1', 'm1'])
  assert.deepEqual(idsOf(readAll(archive, { recipient: 'a@b.example' })), ['m1'])
  assert.deepEqual(idsOf(readAll(archive, { since: start })), ['m0', 'm1', 'm2', 'm1'])
  assert.deepEqual(idsOf(readAll(archive, { since: start + 1 })), ['m2', 'm1'])
  assert.deepEqual(idsOf(readAll(archive, { since: start + 5_001 })), [])
  assert.deepEqual(idsOf(readAll(archive, { after: 2, type: 'delivered' })), ['m2', 'm1'])
})

test('the archive limits to the newest, and after a place to the first', async t => {
  const { archive } = openAt(t)
  await archive.addEvents(Array.from({ length: 6 }, (_, n) => outcome(n, n % 2 ? { type: 'bounced' } : {})))
  const page = (filter: EventFilter, limit: number) =>
    archive.eventPage(filter, archive.eventWindow(filter, limit), limit).map(row => row.messageId)
  assert.deepEqual(page({}, 2), ['m4', 'm5'])
  assert.deepEqual(page({ type: 'delivered' }, 2), ['m2', 'm4'])
  assert.deepEqual(page({ after: 1 }, 2), ['m1', 'm2'])
  assert.deepEqual(page({}, 100), ['m0', 'm1', 'm2', 'm3', 'm4', 'm5'])
})

test('received never decreases when the clock steps back', async t => {
  const { archive, clock } = openAt(t)
  await archive.addEvents([outcome(0)])
  clock.now -= 3_600_000
  await archive.addEvents([outcome(1)])
  const [first, second] = readAll(archive)
  assert.equal(second?.['received'], first?.['received'])
  assert.equal(readAll(archive, { since: start }).length, 2)
})

test('a batch is stored line by line: what is valid, what failed, what is known already', async t => {
  const { archive } = openAt(t)
  const batch = clickLine('1') + clickLine('2') + clickLine('1') + '{}\n' + clickLine('3', { timestamp: '5' })
  const row = await archive.addBatch('b1', Buffer.from(batch))
  assert.deepEqual([row.errorType, row.succeeded, row.failed, row.duplicates], ['validation', 2, 2, 1])
  assert.deepEqual(
    archive.failures('b1', 0, 10).map(({ line, reason }) => [line, reason]),
    [
      [4, 'expected {"msys":{…}} and nothing beside it'],
      [5, 'timestamp: older than 24 hours'],
    ],
  )
  assert.deepEqual(
    archive.failures('b1', 4, 10).map(({ line }) => line),
    [5],
  )
  const again = await archive.addBatch('b2', Buffer.from(clickLine('2') + clickLine('4')))
  assert.deepEqual([again.errorType, again.succeeded, again.failed, again.duplicates], [null, 1, 0, 1])
  assert.equal(readAll(archive, { type: 'click' }).length, 3)
})

test('the same batch again is a duplicate, also after a restart', async t => {
  const opened = openAt(t)
  const batch = Buffer.from(clickLine('1') + clickLine('2'))
  assert.equal((await opened.archive.addBatch('b1', batch)).errorType, null)
  await opened.archive.close()
  opened.archive = opened.open()
  const again = await opened.archive.addBatch('b2', batch)
  assert.deepEqual([again.errorType, again.succeeded, again.duplicates], ['duplicate_batch', 0, 2])
  assert.deepEqual(
    opened.archive.batches(['b2', 'unknown', 'b1'], 0, 10).map(({ id, errorType }) => [id, errorType]),
    [
      ['b1', null],
      ['b2', 'duplicate_batch'],
    ],
  )
})

test('an empty and a damaged batch have their outcomes', async t => {
  const { archive } = openAt(t)
  assert.equal((await archive.addBatch('b1', Buffer.from('\n \n'))).errorType, 'empty_batch')
  assert.equal((await archive.addBatch('b2', undefined)).errorType, 'decompress')
})

test('an event keeps its text and the highest event id', async t => {
  const { archive } = openAt(t)
  const text = clickLine('9223372036854775807', { odd: '\u2028 "<&' }).trim()
  await archive.addBatch('b1', Buffer.from(text))
  const [line] = readAll(archive)
  assert.equal(line?.['event_id'], '9223372036854775807')
  assert.deepEqual(line['msys'], (JSON.parse(text) as { msys: unknown }).msys)
  assert.equal(archive.eventPage({}, archive.eventWindow({}), 1)[0]?.body, text)
})

test('writes that come together are stored together, and one that fails leaves the others alone', async t => {
  const { archive } = openAt(t)
  const results = await Promise.allSettled([
    archive.addEvents([outcome(0)]),
    archive.addEvents([outcome(1), outcome(2, { type: null as unknown as string })]),
    archive.addEvents([outcome(3)]),
  ])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.deepEqual(idsOf(readAll(archive)), ['m0', 'm3'])
})

test('a mail comes back piece by piece, and an unfinished one never appears', async t => {
  const { archive } = openAt(t)
  const [first, second] = [archive.beginMail(), archive.beginMail()]
  await archive.appendMail(first, 0, Buffer.from('one '))
  await archive.appendMail(second, 0, Buffer.from('never finished'))
  const envelope = { from: 'a@b.example', to: ['c@d.example', 'c@d.example'], subject: 's', bytes: 7 }
  await archive.finishMail(first, 1, Buffer.from('two'), envelope)
  assert.deepEqual(archive.mail(first), { id: first, received: start, ...envelope })
  assert.equal(archive.mail(second), undefined)
  const pieces = [archive.mailPiece(first, 0), archive.mailPiece(first, 1)]
  assert.equal(Buffer.concat(pieces.map(piece => piece ?? Buffer.alloc(0))).toString(), 'one two')
  assert.equal(archive.mailPiece(first, 2), undefined)
  for (const odd of ['', '0', '-1', '1e3', 'x', '99999999999999999999']) assert.equal(archive.mail(odd), undefined)
  await archive.sweepMails()
  assert.equal(archive.mailPiece(second, 0), undefined)
})

test('an id of a mail is not given twice, also when the process ended in the middle of it', async t => {
  const opened = openAt(t)
  const first = opened.archive.beginMail()
  await opened.archive.appendMail(first, 0, Buffer.from('x'))
  await opened.archive.close()
  opened.archive = opened.open()
  assert.notEqual(opened.archive.beginMail(), first)
})

test('the oldest go when there are too many', async t => {
  const { archive } = openAt(t, { eventsMax: 3, mailsMax: 2, bytesMax: 1e12 })
  await archive.addEvents(Array.from({ length: 8 }, (_, n) => outcome(n)))
  for (let n = 0; n < 5; n++) {
    await archive.finishMail(archive.beginMail(), 0, Buffer.from('x'), { from: '', to: [], subject: '', bytes: 1 })
  }
  assert.deepEqual(await archive.enforceBounds(), { events: 5, mails: 3 })
  assert.deepEqual(idsOf(readAll(archive)), ['m5', 'm6', 'm7'])
  assert.deepEqual(
    archive.mailPage(archive.mailWindow(), 10).map(({ id }) => id),
    ['4', '5'],
  )
  assert.equal(archive.mailPiece('1', 0), undefined)
  assert.deepEqual(await archive.enforceBounds(), { events: 0, mails: 0 })
})

test('the oldest go when there is too much', async t => {
  const bytesMax = 2_000_000
  const { archive } = openAt(t, { eventsMax: 1e9, mailsMax: 1e9, bytesMax })
  for (let n = 0; n < 60; n++) {
    await archive.finishMail(archive.beginMail(), 0, Buffer.alloc(100_000), {
      from: '',
      to: [],
      subject: '',
      bytes: 100_000,
    })
  }
  await archive.enforceBounds()
  const { bytes, mails } = archive.counts()
  assert.ok(bytes <= bytesMax, `${bytes}`)
  assert.ok(mails > 0)
  assert.ok(archive.mail('60'))
})

test('a second owner of the same folder is refused', t => {
  const { open } = openAt(t)
  assert.throws(open, { name: 'StoreError', message: /used by another console/ })
})
