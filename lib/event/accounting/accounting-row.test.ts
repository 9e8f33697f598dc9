import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { AccountingColumns } from '../powermta/accounting-columns.ts'
import { AccountingRowReader } from './accounting-row.ts'
import { csvRows } from './csv-rows.ts'

const messageId = '0000123456789abcdef0'
const tracked = 'header_X-Sp-Message-Id,header_X-Sendpost-Message-UUID,header_x-sp-subaccount-id,header_x-job'
const trackedValues = `${messageId},7d3b6c1e-8f0e-4b57-9a55-0e5f7a3c2b11,42,spring`

/** PowerMTA 4.0 (22 columns) and 4.5 (23 with queue and pool, without timeImprinted). */
const header22 =
  'type,timeLogged,timeQueued,timeImprinted,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,' +
  'dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId'
const header23 =
  'type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,' +
  'dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool'

function reader(header: string): AccountingRowReader {
  return new AccountingRowReader(new AccountingColumns(header.split(',')))
}

function row(text: string): readonly string[] {
  return csvRows([text], text.includes('"'))[0] ?? []
}

const d22 =
  'd,2014-08-24 16:00:14+0530,2014-08-24 16:00:02+0530,,news@example.com,reader@example.net,,relayed,2.0.0 (success),' +
  'smtp;250 ok dirdel,mta7.example.net (192.0.2.23),success,smtp,gen.example.com (192.0.2.163),smtp,192.0.2.30,192.0.2.23,' +
  '"PIPELINING,8BITMIME,SIZE,STARTTLS",155704,vmta-a,CAMPAIGN,'
const d23 = d22.replace('+0530,,news', '+0530,news').concat(',example.net/vmta-a,pool-1')

test('records of both column sets come out alike', () => {
  for (const [header, text] of [
    [header22, d22],
    [header23, d23],
  ] as const) {
    assert.deepEqual(reader(`${header},${tracked}`).record(row(`${text},${trackedValues}`)), {
      kind: 'record',
      messageId,
      record: {
        recipient: 'reader@example.net',
        uuid: '7d3b6c1e-8f0e-4b57-9a55-0e5f7a3c2b11',
        subaccount: 42,
        job: 'spring',
        sender: 'news@example.com',
        queuedAt: Date.parse('2014-08-24T10:30:02Z'),
        deliveredAt: Date.parse('2014-08-24T10:30:14Z'),
      },
    })
  }
})

test('columns may come in any order and case', () => {
  const names = `${header23},${tracked}`.split(',')
  const values = row(`${d23},${trackedValues}`)
  const expected = reader(names.join(',')).record(values)
  fc.assert(
    fc.property(
      fc.shuffledSubarray(names.slice(1), { minLength: names.length - 1 }),
      fc.boolean(),
      (shuffled, upper) => {
        const order = ['type', ...shuffled]
        const columns = order.map(name => (upper ? name.toUpperCase() : name.toLowerCase())).join(',')
        const shuffledRow = order.map(name => values[names.indexOf(name)] ?? '')
        assert.deepEqual(reader(columns).record(shuffledRow), expected)
      },
    ),
  )
})

test('the job is the header, else the job id of PowerMTA', () => {
  const read = reader('type,rcpt,header_x-sp-message-id,header_x-job,jobId')
  const job = (values: string[]) => {
    const reading = read.record(['d', 'a@b', messageId, ...values])
    return reading.kind === 'record' ? reading.record.job : undefined
  }
  assert.equal(job(['spring', 'J1']), 'spring')
  assert.equal(job(['', 'J1']), 'J1')
  assert.equal(job(['', '']), undefined)
})

test('received records tell when the message was queued', () => {
  const read = reader('type,timeLogged,rcpt,header_x-sp-message-id')
  assert.deepEqual(read.record(['r', '1178807903', 'a@b', messageId]), {
    kind: 'record',
    messageId,
    record: { recipient: 'a@b', queuedAt: 1_178_807_903_000 },
  })
})

test('rows that can not be believed are bad, untracked ones and other types are not', () => {
  const read = reader('type,rcpt,header_x-sp-message-id,header_x-sp-subaccount-id')
  const kind = (values: string[]) => read.record(values).kind
  assert.equal(kind(['d', 'a@b', messageId]), 'bad')
  assert.equal(kind(['d', 'a@b', messageId, '1', '2']), 'bad')
  assert.equal(kind(['d', '', messageId, '1']), 'bad')
  assert.equal(kind(['d', 'a\nb', messageId, '1']), 'bad')
  assert.equal(kind(['d', 'a'.repeat(600), messageId, '1']), 'bad')
  assert.equal(kind(['d', 'a@b', 'has space', '1']), 'bad')
  assert.equal(kind(['d', 'a@b', 'x'.repeat(65), '1']), 'bad')
  assert.equal(kind(['what is this']), 'bad')
  assert.equal(kind(['d', 'a@b', '', '1']), 'skipped')
  assert.equal(kind(['b', 'a@b', messageId, '1']), 'skipped')
  assert.equal(kind(['rb', 'a@b']), 'skipped')
  assert.equal(kind(['d', 'a@b', messageId, 'not a number']), 'record')
})

test('events have type, code, status, reason, class and the rest', () => {
  const header = `${header23},${tracked}`
  const text = `${d23},${trackedValues}`
    .replace(/^d/, 'b')
    .replace('2.0.0 (success)', '5.1.1 (bad destination mailbox address)')
    .replace('smtp;250 ok dirdel', '"smtp;550 5.1.1 <reader@example.net>: no such ""user"", sorry"')
    .replace(',success,', ',bad-mailbox,')
  const reading = reader(header).event(row(text), text, 0)
  assert.ok(reading.kind === 'event')
  const { id, ...event } = reading.event
  assert.match(id, /^\d{1,19}$/)
  assert.deepEqual(event, {
    type: 'bounce',
    messageId,
    at: Date.parse('2014-08-24T10:30:14Z'),
    recipient: 'reader@example.net',
    sender: 'news@example.com',
    subaccount: 42,
    job: 'spring',
    code: 550,
    enhancedStatus: '5.1.1',
    reason: '550 5.1.1 <reader@example.net>: no such "user", sorry',
    bounceClass: 10,
    remoteMta: 'mta7.example.net',
    sourceIp: '192.0.2.30',
    queueTimeMs: 12_000,
    messageBytes: 155_704,
  })
  const again = reader(header).event(row(text), text, 99)
  assert.ok(again.kind === 'event' && again.event.id === id, 'the same record has the same id')
})

test('each type of record is its kind of event', () => {
  const header = 'type,timeLogged,rcpt,dsnStatus,dsnDiag,bounceCat,feedbackType,reportingMta,header_x-sp-message-id'
  const eventOf = (type: string) => {
    const text = `${type},1178807903,a@b,4.2.2 (full),smtp;452 4.2.2 full,quota-issues,abuse,mx.example,${messageId}`
    const reading = reader(header).event(row(text), text, 0)
    return reading.kind === 'event' ? reading.event : reading.kind
  }
  const types = ['d', 'b', 't', 'tq', 'rb', 'f'].map(type => {
    const event = eventOf(type)
    return typeof event === 'string' ? event : event.type
  })
  assert.deepEqual(types, ['delivery', 'bounce', 'delay', 'delay', 'out_of_band', 'spam_complaint'])
  assert.equal(eventOf('r'), 'skipped')
  assert.equal(eventOf('rs'), 'skipped')
  assert.partialDeepStrictEqual(eventOf('t'), { code: 452, enhancedStatus: '4.2.2', bounceClass: 22 })
  assert.partialDeepStrictEqual(eventOf('f'), { feedbackType: 'abuse', reportedBy: 'mx.example' })
})

test('a bounce without a remote server has no code and takes its reason from the status', () => {
  const text = `b,1178807903,a@b,5.1.2 (bad destination system: no such domain),,bad-domain,,,${messageId}`
  const reading = reader(
    'type,timeLogged,rcpt,dsnStatus,dsnDiag,bounceCat,feedbackType,reportingMta,header_x-sp-message-id',
  ).event(row(text), text, 0)
  assert.ok(reading.kind === 'event')
  assert.equal(reading.event.code, undefined)
  assert.equal(reading.event.reason, '5.1.2 (bad destination system: no such domain)')
  assert.equal(reading.event.enhancedStatus, '5.1.2')
})
