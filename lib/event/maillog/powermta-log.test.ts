import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LineVerdict } from './line-verdict.ts'
import type { Outcome } from './outcome.ts'
import { PowerMtaLog } from './powermta-log.ts'

const uuid = '11111111-1111-4111-8111-111111111111'
const header =
  'type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool,header_X-Sendpost-Message-UUID'

function read(...lines: string[]): { verdicts: string[]; outcomes: Outcome[] } {
  const outcomes: Outcome[] = []
  const log = new PowerMtaLog({ report: outcome => outcomes.push(outcome), suppressed: () => undefined })
  return { verdicts: lines.map(line => log.read(line, true, 0, 'acct.csv')), outcomes }
}

function row(type: string, more: Partial<Record<'status' | 'diag' | 'cat' | 'uuid' | 'job', string>> = {}): string {
  return `${type},2026-02-09 13:00:05+0100,2026-02-09 13:00:00+0100,news@app.example,r@example.com,,relayed,${more.status ?? '2.0.0 (success)'},${more.diag ?? 'smtp;250 2.0.0 OK'},mx.example.com (192.0.2.1),${more.cat ?? 'success'},smtp,x,smtp,192.0.2.9,192.0.2.1,"PIPELINING,8BITMIME",1234,v1,${more.job ?? ''},,example.com/v1,,${more.uuid ?? uuid}`
}

const cases: Record<string, [string, string]> = {
  delivered: [row('d'), 'delivered 250'],
  bounced: [
    row('b', {
      status: '5.1.1 (bad destination mailbox address)',
      diag: '"smtp;550 5.1.1 ""no"", sorry"',
      cat: 'bad-mailbox',
    }),
    'bounced 550',
  ],
  'bounced for lack of time': [
    row('b', { status: '4.4.7 (expired)', diag: 'smtp;450 busy', cat: 'message-expired' }),
    'soft_bounced 450',
  ],
  'bounced for a quota': [
    row('b', { status: '5.2.2 (mailbox full)', diag: 'smtp;552 full', cat: 'quota-issues' }),
    'soft_bounced 552',
  ],
  'bounced without a server': [
    row('b', { status: '5.1.2 (bad destination system: no such domain)', diag: '', cat: 'bad-domain' }),
    'bounced -',
  ],
  'bounced in a category of the operator': [
    row('b', { status: '5.7.1 (x)', diag: 'smtp;550 no', cat: 'our-own' }),
    'soft_bounced 550',
  ],
  'bounced for a quota, in capitals, as mail': [
    row('RB', { status: '5.2.2 (x)', diag: 'SMTP; 552 full', cat: 'Quota-Issues' }),
    'soft_bounced 552',
  ],
  'bounced in no category': [row('b', { status: '5.1.1 (x)', diag: 'smtp;550 no', cat: '' }), 'bounced 550'],
  'bounced with an answer that is not of SMTP': [row('b', { diag: 'x-unix; 550 no', cat: 'other' }), 'bounced -'],
  'deferred with its queue': [row('tq', { status: '4.4.1 (x)', diag: 'smtp;421 later' }), 'deferred 421'],
  deferred: [row('t', { status: '4.2.0 (x)', diag: 'smtp;451 later' }), 'deferred 451'],
  'bounced by mail': [row('rb', { status: '5.1.1 (x)', diag: 'smtp;550 no' }), 'bounced 550'],
  'UUID in the job': [row('d', { uuid: '', job: uuid }), 'delivered 250'],
}
for (const [name, [line, expected]] of Object.entries(cases)) {
  test(`PowerMtaLog: ${name}`, () => {
    const { outcomes } = read(header, line)
    assert.deepEqual(
      outcomes.map(({ type, code }) => `${type} ${code ?? '-'}`),
      [expected],
    )
    assert.equal(outcomes[0]?.uuid, uuid)
    assert.equal(outcomes[0].recipient, 'r@example.com')
    assert.equal(outcomes[0].at, Date.parse('2026-02-09T12:00:05Z') * 1000)
  })
}

test('PowerMtaLog guesses no columns, and takes a new header wherever it stands', () => {
  assert.deepEqual(read(row('d'), header, row('d'), 'type,rcpt,jobId', `d,r@x,${uuid}`).verdicts, [
    'orphan',
    'correlation',
    'event',
    'correlation',
    'event',
  ])
})
test('PowerMtaLog reads each source by its own header, also after it was written down', () => {
  const found: string[] = []
  const hooks = { report: ({ recipient }: Outcome) => found.push(recipient), suppressed: () => undefined }
  const first = new PowerMtaLog(hooks)
  first.read('type,rcpt,orig,jobId', true, 0, 'd.csv')
  first.read('type,orig,rcpt,jobId', true, 0, 'b.csv')
  const second = new PowerMtaLog(hooks)
  second.restore([...first.save()])
  for (const log of [first, second]) {
    assert.equal(log.read(`d,to@x,from@x,${uuid}`, true, 0, 'd.csv'), 'event')
    assert.equal(log.read(`b,from@x,to@x,${uuid}`, true, 0, 'b.csv'), 'event')
    assert.equal(log.read(`b,from@x,to@x,${uuid}`, true, 0, 'other.csv'), 'orphan')
  }
  assert.deepEqual(found, ['to@x', 'to@x', 'to@x', 'to@x'])
  assert.doesNotThrow(() =>
    new PowerMtaLog(hooks).restore(['[["type",0],["rcpt",1]]', '[]', '["a.csv",[["type",1e9]]]']),
  )
})
test('PowerMtaLog takes up what earlier versions wrote of a header that names columns twice', () => {
  const found: string[] = []
  const log = new PowerMtaLog({ report: ({ recipient }) => found.push(recipient), suppressed: () => undefined })
  // Of `type,rcpt,rcvSourceIp,rcvSourceIp,jobId,type,rcpt`.
  log.restore(['["acct.csv",[["type",0],["rcpt",1],["rcvsourceip",2],["jobid",4]]]'])
  const again = new PowerMtaLog({ report: ({ recipient }) => found.push(recipient), suppressed: () => undefined })
  assert.equal(log.read(`d,a@x,,,${uuid},,`, true, 0, 'acct.csv'), 'event')
  assert.equal(log.read(`d,b@x,,,${uuid}`, true, 0, 'acct.csv'), 'malformed')
  again.restore([...log.save()])
  assert.equal(again.read(`d,c@x,,,${uuid},,`, true, 0, 'acct.csv'), 'event')
  assert.equal(again.read(`d,d@x,,,${uuid},,,`, true, 0, 'acct.csv'), 'malformed')
  assert.deepEqual(found, ['a@x', 'c@x'])
})
test('PowerMtaLog counts what has no UUID, is cut, of another header, or no record', () => {
  const verdicts: [string, LineVerdict][] = [
    [header, 'correlation'],
    [row('d', { uuid: '' }), 'held'],
    [row('d').slice(0, 60), 'malformed'],
    [`${row('d')},more`, 'malformed'],
    [row('d').replace('r@example.com', ''), 'malformed'],
    [row('d').replace('r@example.com', 'a\tb'), 'malformed'],
    // The queue's own, of no message.
    [row('tq', { uuid: '' }).replace('r@example.com', ''), 'held'],
    ['f,x', 'other'],
    ['r,x', 'other'],
    ['Feb  9 13:00:05 host postfix/smtp[1]: x', 'unparsed'],
    ['d,"x', 'unparsed'],
  ]
  assert.deepEqual(
    read(...verdicts.map(([line]) => line)).verdicts,
    verdicts.map(([, verdict]) => verdict),
  )
})
test('PowerMtaLog knows a header line in any spelling, and none that was cut', () => {
  for (const names of [
    ' Type,rcpt,jobId',
    '#type,RCPT,JobID',
    '\u00EF\u00BB\u00BFtype,rcpt,jobId',
    'type,rcpt,rcpt,jobId',
  ]) {
    const values = names.includes('rcpt,rcpt') ? `d,,r@x,${uuid}` : `d,r@x,${uuid}`
    const { verdicts, outcomes } = read(names, values)
    assert.deepEqual(verdicts, ['correlation', 'event'], names)
    assert.equal(outcomes[0]?.recipient, 'r@x', names)
  }
  const log = new PowerMtaLog({ report: () => undefined, suppressed: () => undefined })
  assert.equal(log.read('type,rcpt,job', false, 0, 'acct.csv'), 'malformed')
  assert.equal(log.read(`d,r@x,${uuid}`, true, 0, 'acct.csv'), 'orphan')
})
test('PowerMtaLog gives no time where the record has none', () => {
  const { outcomes } = read('type,timeLogged,rcpt,jobId', `d,2026-13-01 00:00:00+0000,r@x,${uuid}`)
  assert.ok(Number.isNaN(outcomes[0]?.at))
})
