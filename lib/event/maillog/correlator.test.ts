import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { sized } from '../../../test/support/soak.ts'
import { correlatorDefaults, type CorrelatorOptions } from './correlator-options.ts'
import { Correlator } from './correlator.ts'
import type { LogLine } from './log-line.ts'
import type { Outcome } from './outcome.ts'

const u1 = '11111111-1111-4111-8111-111111111111'
const u2 = '22222222-2222-4222-8222-222222222222'
const a = 'A0000000001'
const b = 'B0000000002'

const startMs = Date.parse('2026-11-21T12:00:00Z')

class Lab {
  readonly outcomes: Outcome[] = []
  readonly verdicts: string[] = []
  correlator: Correlator
  #atMs = startMs
  readonly #options: CorrelatorOptions

  constructor(options: Partial<CorrelatorOptions> = {}) {
    this.#options = { ...correlatorDefaults, ...options }
    this.correlator = this.#make()
  }

  #make(): Correlator {
    return new Correlator(
      this.#options,
      () => startMs + 1e10,
      outcome => this.outcomes.push(outcome),
    )
  }

  /** Lines a millisecond apart; `host text` when it begins with `@host `. */
  read(...lines: string[]): this {
    for (const text of lines) {
      this.#atMs += 1
      const [, host = 'mx', line = text] = /^@(\S+) (.*)$/.exec(text) ?? []
      const latin1 = Buffer.from(line, 'utf8').toString('latin1')
      const read: LogLine = {
        at: this.#atMs * 1000,
        host,
        line: latin1,
        from: 0,
        to: latin1.length,
        suppressed: 0,
        cursor: undefined,
      }
      this.verdicts.push(this.correlator.read(read))
    }
    return this
  }

  later(ms: number): this {
    this.#atMs += ms
    return this
  }

  /** Written down and taken up by another one. */
  restart(): this {
    const saved = [...this.correlator.save()]
    this.correlator = this.#make()
    this.correlator.restore(saved)
    return this
  }

  get events(): string[] {
    return this.outcomes.map(
      ({ uuid, type, recipient, code }) => `${uuid.slice(0, 4)} ${type} ${recipient} ${code ?? '-'}`,
    )
  }
}

const client = (id: string) => `${id}: client=localhost[127.0.0.1]`
const messageId = (id: string, uuid: string) => `${id}: message-id=<${uuid}@app.example>`
const header = (id: string, uuid: string, from = 's@x') =>
  `${id}: info: header X-Sendpost-Message-UUID: ${uuid} from localhost[127.0.0.1]; from=<${from}> to=<r@x> proto=ESMTP helo=<h>`
const active = (id: string, from = 's@x') => `${id}: from=<${from}>, size=1, nrcpt=1 (queue active)`
const status = (
  id: string,
  word: string,
  text: string,
  more = '',
  dsn = word === 'sent' ? '2.0.0' : word === 'bounced' ? '5.1.1' : '4.2.0',
) => `${id}: to=<r@x>, ${more}relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=${dsn}, status=${word} (${text})`
const near = (line: string) => line.replace('relay=mx[192.0.2.1]:25', 'relay=127.0.0.1[127.0.0.1]:10024')
const sent = (id: string, text = '250 ok') => status(id, 'sent', text)
const removed = (id: string) => `${id}: removed`
const open = (id: string, uuid: string) => [client(id), messageId(id, uuid), active(id)]

const cases: Record<string, [lines: string[], events: string[]]> = {
  'a delivery': [[...open(a, u1), sent(a), removed(a)], ['1111 delivered r@x 250']],
  'the address before aliases': [
    [...open(a, u1), status(a, 'sent', '250 ok', 'orig_to=<o@x>, ')],
    ['1111 delivered o@x 250'],
  ],
  'status= decides, not the code': [
    [...open(a, u1), status(a, 'deferred', 'host mx[1] refused to talk to me: 554 no')],
    ['1111 deferred r@x 554'],
  ],
  'the header goes before the message-id, in either order': [
    [
      client(a),
      messageId(a, u2),
      header(a, u1),
      active(a),
      sent(a),
      client(b),
      header(b, u1),
      messageId(b, u2),
      active(b),
      sent(b),
    ],
    ['1111 delivered r@x 250', '1111 delivered r@x 250'],
  ],
  'the first header counts': [
    [client(a), header(a, u1), header(a, u2), active(a), sent(a)],
    ['1111 delivered r@x 250'],
  ],
  'the first message-id with a UUID counts': [
    [client(a), `${a}: message-id=<x@y>`, messageId(a, u1), messageId(a, u2), active(a), sent(a)],
    ['1111 delivered r@x 250'],
  ],
  'a value that speaks of another client is data': [
    [
      client(a),
      `${a}: info: header X-Sendpost-Message-UUID: ${u1} from evil[9.9.9.9]; from=<x@y> to=<z@z> from localhost[127.0.0.1]; from=<s@x> to=<r@x> proto=ESMTP helo=<h>`,
      active(a),
      sent(a),
    ],
    ['1111 delivered r@x 250'],
  ],
  'a header of another name is none': [
    [client(a), `${a}: info: header X-Other: ${u1} from localhost[127.0.0.1]; from=<s@x> to=<r@x>`, active(a), sent(a)],
    [],
  ],
  'an id that is used again forgets what it meant': [
    [...open(a, u1), status(a, 'deferred', 'x'), client(a), `${a}: message-id=<x@y>`, active(a), sent(a)],
    ['1111 deferred r@x -'],
  ],
  'an id that is used again without client= after it was removed': [
    [...open(a, u1), sent(a), removed(a), messageId(a, u2), active(a), sent(a)],
    ['1111 delivered r@x 250', '2222 delivered r@x 250'],
  ],
  'an id that is active again after it was removed is a message of which nothing is known': [
    [...open(a, u1), sent(a), removed(a), active(a), sent(a)],
    ['1111 delivered r@x 250'],
  ],
  'expiry ends every recipient that waits': [
    [
      ...open(a, u1),
      status(a, 'deferred', 'host mx[1] said: 450 busy'),
      status(a, 'deferred', 'host mx[1] said: 451 busy').replace('r@x', 'q@x'),
      sent(a).replace('r@x', 'p@x'),
      status(a, 'deferred', 'connect to mx[1]:25: Connection refused').replace('r@x', 'p2@x'),
      sent(a).replace('r@x', 'p2@x'),
      `${a}: from=<s@x>, status=expired, returned to sender`,
      removed(a),
    ],
    [
      '1111 deferred r@x 450',
      '1111 deferred q@x 451',
      '1111 delivered p@x 250',
      '1111 deferred p2@x -',
      '1111 delivered p2@x 250',
      '1111 soft_bounced r@x 450',
      '1111 soft_bounced q@x 451',
    ],
  ],
  'forced expiry': [
    [...open(a, u1), status(a, 'deferred', 'x'), `${a}: from=<s@x>, status=force-expired, returned to sender`],
    ['1111 deferred r@x -', '1111 soft_bounced r@x -'],
  ],
  'a sender that looks like an expiry is none': [
    [
      ...open(a, u1),
      status(a, 'deferred', 'x'),
      `${a}: from=<"x>, status=expired, returned to sender"@y>, size=1, nrcpt=1 (queue active)`,
    ],
    ['1111 deferred r@x -'],
  ],
  'SOFTBOUNCE once, then what becomes of it': [
    [
      ...open(a, u1),
      status(a, 'SOFTBOUNCE', 'host mx[1] said: 550 no'),
      status(a, 'SOFTBOUNCE', 'host mx[1] said: 550 no'),
      sent(a),
    ],
    ['1111 soft_bounced r@x 550', '1111 delivered r@x 250'],
  ],
  'content filter: the hop is no delivery, the message behind it inherits': [
    [
      client(a),
      header(a, u1),
      active(a),
      client(b),
      `${b}: message-id=<x@y>`,
      active(b),
      near(sent(a, `250 2.0.0 from MTA: 250 Ok: queued as ${b}`)),
      sent(b),
    ],
    ['1111 delivered r@x 250'],
  ],
  'content filter: its result may come first': [
    [
      client(a),
      header(a, u1),
      active(a),
      client(b),
      active(b),
      status(b, 'bounced', 'host mx[1] said: 550 no'),
      removed(b),
      near(sent(a, `250 Ok: queued as ${b}`)),
    ],
    ['1111 bounced r@x 550'],
  ],
  'content filter: the header of the first hop goes before the message-id of the second': [
    [
      client(a),
      header(a, u1),
      messageId(a, u2),
      active(a),
      client(b),
      messageId(b, u2),
      active(b),
      near(sent(a, `250 Ok: queued as ${b}`)),
      sent(b),
    ],
    ['1111 delivered r@x 250'],
  ],
  'the next host logs to the same place': [
    [
      ...open(a, u1),
      ...[client(b), active(b), status(b, 'bounced', 'host mx[1] said: 550 no')].map(line => `@relay ${line}`),
      near(sent(a, `250 Ok: queued as ${b}`)),
    ],
    ['1111 bounced r@x 550'],
  ],
  'the next host knows the message by its message-id only': [
    [
      client(a),
      header(a, u1),
      messageId(a, u2),
      active(a),
      ...[client(b), messageId(b, u2), active(b)].map(line => `@relay ${line}`),
      near(sent(a, `250 Ok: queued as ${b}`)),
      `@relay ${sent(b)}`,
    ],
    ['1111 delivered r@x 250'],
  ],
  'the next host by the same address and with the same UUID, beside one that has the id for another': [
    [
      ...[client(b), header(b, u2), active(b)].map(line => `@other ${line}`),
      ...open(a, u1),
      `@relay ${b}: client=mx.out[203.0.113.9]`,
      ...[header(b, u1), active(b)].map(line => `@relay ${line}`),
      status(a, 'sent', `250 Ok: queued as ${b}`).replace('192.0.2.1', '203.0.113.9'),
      ...[sent(b)].map(line => `@relay ${line}`),
    ],
    ['1111 delivered r@x 250'],
  ],
  'a remote server that names an id of another host delivered the message': [
    [
      ...open(a, u1),
      ...[client(b), header(b, u2), active(b)].map(line => `@relay ${line}`),
      near(sent(a, `250 Ok: queued as ${b}`)),
      `@relay ${sent(b)}`,
    ],
    ['1111 delivered r@x 250', '2222 delivered r@x 250'],
  ],
  'three hops, the name known last': [
    [
      client(a),
      active(a),
      client(b),
      active(b),
      client('C0000000003'),
      active('C0000000003'),
      sent('C0000000003'),
      near(sent(b, '250 Ok: queued as C0000000003')),
      near(sent(a, `250 Ok: queued as ${b}`)),
      header(a, u1),
    ],
    ['1111 delivered r@x 250'],
  ],
  'a hop to another host, the name known last': [
    [
      client(a),
      active(a),
      ...[client(b), active(b), sent(b)].map(line => `@relay ${line}`),
      near(sent(a, `250 Ok: queued as ${b}`)),
      header(a, u1),
    ],
    ['1111 delivered r@x 250'],
  ],
  'XFORWARD names the parent': [
    [
      ...open(a, u1),
      `${b}: client=localhost[127.0.0.1], orig_queue_id=${a}, orig_client=x[1.2.3.4]`,
      active(b),
      sent(b),
    ],
    ['1111 delivered r@x 250'],
  ],
  'local(8) forwards': [
    [
      ...open(a, u1),
      messageId(b, u1),
      status(a, 'sent', `forwarded as ${b}`).replace('mx[192.0.2.1]:25', 'local'),
      active(b),
      sent(b),
    ],
    ['1111 delivered r@x 250'],
  ],
  'a remote server that names one of our ids delivered the message': [
    [...open(a, u1), ...open(b, u2), sent(a, `250 Ok: queued as ${b}`), sent(b)],
    ['1111 delivered r@x 250', '2222 delivered r@x 250'],
  ],
  'an id that was opened before can not be the next hop': [
    [client(b), active(b), ...open(a, u1), near(sent(a, `250 Ok: queued as ${b}`)), sent(b)],
    ['1111 delivered r@x 250'],
  ],
  'requeued by postsuper': [
    [
      ...open(a, u1),
      status(a, 'deferred', 'x'),
      `${b}: uid=0 from=<s@x> orig_id=${a}`,
      active(b),
      `${b}: from=<s@x>, status=expired, returned to sender`,
    ],
    ['1111 deferred r@x -', '1111 soft_bounced r@x -'],
  ],
  'notifications are nobody’s, named before or after': [
    [
      ...open(a, u1),
      messageId(b, u1),
      `${a}: sender non-delivery notification: ${b}`,
      active(b, ''),
      sent(b),
      `${a}: sender delay notification: C0000000003`,
      messageId('C0000000003', u1),
      active('C0000000003', ''),
      sent('C0000000003'),
    ],
    [],
  ],
  'a bounce that carries the header of the original is not the original': [
    [client(a), header(a, u1, ''), active(a, ''), sent(a)],
    [],
  ],
  'a header that turns out to stand in a bounce does not count, its message-id does': [
    [client(a), header(a, u1), messageId(a, u2), active(a, ''), sent(a)],
    ['2222 delivered r@x 250'],
  ],
  'probes are no deliveries': [
    [
      messageId(a, u1),
      active(a),
      status(a, 'deliverable', '250 ok', '', '2.1.5'),
      status(a, 'undeliverable', 'no', '', '5.1.1'),
    ],
    [],
  ],
  'the same id on two hosts is two messages': [
    [
      `@one ${client(a)}`,
      `@one ${messageId(a, u1)}`,
      `@two ${client(a)}`,
      `@two ${messageId(a, u2)}`,
      `@one ${sent(a)}`,
      `@two ${sent(a)}`,
    ],
    ['1111 delivered r@x 250', '2222 delivered r@x 250'],
  ],
  'lines that only look like results': [
    [
      ...open(a, u1),
      `${a}: host mx[1] said: 451 later`,
      `${a}: milter-reject: END-OF-MESSAGE from x: 5.7.1 no`,
      `${a}: warning: to=<x>, status=sent (x)`,
      `NOQUEUE: reject: RCPT from x: 550 to=<r@x>, status=sent (x)`,
      `${a}: status=deferred (bounce failed)`,
    ],
    [],
  ],
  'Postfix before 2.3': [
    [
      ...open(a, u1),
      `${a}: to=<r@x>, relay=mx[192.0.2.1], delay=3, status=deferred (connect to mx[192.0.2.1]: Connection refused)`,
      `${a}: to=<r@x>, relay=mx[192.0.2.1], delay=9, status=sent (250 Ok: queued as 12345ABCDE)`,
      `${a}: to=<q@x>, relay=mx[192.0.2.1], delay=9, status=bounced (host mx[192.0.2.1] said: 550 no (in reply to RCPT TO command))`,
    ],
    ['1111 deferred r@x -', '1111 delivered r@x 250', '1111 bounced q@x 550'],
  ],
  'an id that was never opened': [[sent(a)], []],
}

for (const [name, [lines, events]] of Object.entries(cases)) {
  test(`Correlator: ${name}`, () => assert.deepEqual(new Lab().read(...lines).events, events))
  test(`Correlator, written down after each line: ${name}`, () => {
    const lab = new Lab()
    for (const line of lines) lab.read(line).restart()
    assert.deepEqual(lab.events, events)
  })
}

test('Correlator forgets an id after its time to live, but not while it shows signs of life', () => {
  const lab = new Lab({ ttlMs: 86_400_000 }).read(...open(a, u1), ...open(b, u2))
  for (let day = 0; day < 4; day++) lab.later(80_000_000).read(status(a, 'deferred', 'x'))
  lab.later(80_000_000).read(sent(a), sent(b))
  assert.equal(lab.events.at(-1), '1111 delivered r@x 250')
  assert.equal(lab.verdicts.at(-1), 'orphan')
  assert.equal(lab.correlator.counts.expired, 1)
})

test('Correlator forgets the oldest past its bound, and counts it', () => {
  const lab = new Lab({ entriesMax: 2 }).read(...open(a, u1), ...open(b, u2), client('C0000000003'), sent(a), sent(b))
  assert.deepEqual(lab.events, ['2222 delivered r@x 250'])
  assert.equal(lab.correlator.counts.evicted, 1)
  assert.equal(lab.correlator.size, 2)
})

test('Correlator keeps to a bound that was made smaller since its state was saved', () => {
  const large = new Lab().read(...open(a, u1), ...open(b, u2), client('C0000000003'))
  const small = new Lab({ entriesMax: 2 })
  small.correlator.restore([...large.correlator.save()])
  small.read(client('C0000000004'))
  assert.equal(small.correlator.size, 2)
  assert.equal(small.correlator.counts.evicted, 2)
})

test('Correlator tells a UUID that was inherited from that of the message-id, also after a restart', () => {
  const run = (lab: Lab, restart: boolean) => {
    lab.read(client(a), messageId(a, u1), `${b}: client=x[192.0.2.1], orig_queue_id=${a}, orig_client=x[192.0.2.1]`)
    if (restart) lab.restart()
    const u3 = '33333333-3333-4333-8333-333333333333'
    return lab.read(messageId(b, u2), header(b, u3), active(b, ''), sent(b)).events
  }
  assert.deepEqual(run(new Lab(), false), ['2222 delivered r@x 250'])
  assert.deepEqual(run(new Lab(), true), ['2222 delivered r@x 250'])
})

test('Correlator takes up nothing of a state that is not all right', () => {
  const saved = [...new Lab().read(...open(a, u1)).correlator.save()]
  const [header, message] = saved as [string, string]
  for (const lines of [
    [],
    [message],
    ['{}', message],
    [header, message, '['],
    [header, message, message.replace(a, 'B'.repeat(40))],
    [header, message, message.replace(a, '')],
  ]) {
    const lab = new Lab()
    assert.throws(() => lab.correlator.restore(lines))
    assert.equal(lab.correlator.size, 0)
  }
  const lab = new Lab()
  lab.correlator.restore(saved)
  assert.deepEqual(lab.read(sent(a)).events, ['1111 delivered r@x 250'])
})

test('Correlator does not forget what it saw while the clock was far behind the log', () => {
  let clockMs = 0
  const outcomes: string[] = []
  const correlator = new Correlator(
    correlatorDefaults,
    () => clockMs,
    ({ uuid }) => outcomes.push(uuid),
  )
  const more = { host: 'mx', suppressed: 0, cursor: undefined }
  const read = (line: string) => correlator.read({ line, from: 0, to: line.length, at: 1.8e15, ...more })
  for (const line of open(a, u1)) read(line)
  clockMs = 1.8e12
  read(client(b))
  read(sent(a))
  assert.deepEqual(outcomes, [u1])
})

test('Correlator forgets what was removed, soon after', () => {
  const lab = new Lab()
  for (let number = 0; number < 5000; number++) {
    const id = (0xa_0000_0000 + number).toString(16).toUpperCase()
    lab.read(...open(id, u1), sent(id), removed(id)).later(1000)
  }
  assert.ok(lab.correlator.size < 200, `${lab.correlator.size} are left`)
})

test('Correlator is not fooled by a line far ahead in time', () => {
  const lab = new Lab()
    .read(...open(a, u1))
    .later(1e12)
    .read(removed('D0000000009'))
  lab.later(-1e12).read(sent(a))
  assert.deepEqual(lab.events, ['1111 delivered r@x 250'])
})

test('Correlator follows any number of hops', () => {
  const lab = new Lab()
  const id = (number: number) => (0xa_0000_0000 + number).toString(16).toUpperCase()
  const hops = 15_000
  for (let number = 0; number <= hops; number++) lab.read(client(id(number)))
  for (let number = 0; number < hops; number++) lab.read(near(sent(id(number), `250 Ok: queued as ${id(number + 1)}`)))
  lab.read(sent(id(hops)), messageId(id(0), u1))
  assert.deepEqual(lab.events, ['1111 delivered r@x 250'])
})

test('Correlator keeps no more recipients that wait than it has room for, and counts the others', () => {
  const lab = new Lab({ entriesMax: 10 }).read(...open(a, u1))
  for (let number = 0; number < 50; number++) lab.read(status(a, 'deferred', 'x').replace('r@x', `r${number}@x`))
  lab.read(`${a}: from=<s@x>, status=expired, returned to sender`)
  assert.equal(lab.events.filter(event => event.includes('soft_bounced')).length, 40)
  assert.equal(lab.correlator.counts.pendingNotKept, 10)
})

test('Correlator keeps no more of recipients that wait than it has memory for, and counts the others', () => {
  const lab = new Lab({ entriesMax: 1000 }).read(...open(a, u1))
  const long = 'x'.repeat(1900)
  for (let number = 0; number < 1000; number++) {
    lab.read(status(a, 'deferred', 'x').replace('r@x', `${number}${long}@x`))
    // A further attempt takes the place of the one before.
    lab.read(status(a, 'deferred', 'y').replace('r@x', `${number}${long}@x`))
  }
  const { pendingNotKept } = lab.correlator.counts
  // A recipient takes 2 KiB; there is 1 MiB.
  assert.ok(pendingNotKept > 400 && pendingNotKept < 1200, String(pendingNotKept))
  lab.read(`${a}: from=<s@x>, status=expired, returned to sender`)
  const expired = lab.events.filter(event => event.includes('soft_bounced')).length
  assert.ok(expired > 400 && expired < 520, String(expired))
})

test('Correlator reports deferrals of a recipient no more often than asked', () => {
  const lab = new Lab({ deferredIntervalMs: 3_600_000 }).read(...open(a, u1))
  for (let minute = 0; minute < 180; minute += 30) lab.later(1_800_000).read(status(a, 'deferred', 'x'))
  assert.equal(lab.events.length, 3)
})

test('Correlator takes a relay that only passes on for none', () => {
  const lab = new Lab({ hopRelays: ['dfilt'] }).read(
    ...open(a, u1),
    status(a, 'sent', 'delivered via dfilt service').replace('mx[192.0.2.1]:25', 'dfilt'),
  )
  assert.deepEqual(lab.verdicts.slice(-1), ['hop'])
})

test('Correlator reports the same whether it was restarted or not, whatever expires and is forgotten', () => {
  const host = fc.constantFrom('', '@h1 ', '@h2 ', '@h3 ')
  const ids = Array.from({ length: 8 }, (_, number) => `A0B1C2D3E${number}`)
  const id = fc.constantFrom(...ids)
  const uuids = [u1, u1.replaceAll('1', '2'), u1.replaceAll('1', '3')]
  const line = fc
    .record({ host, id, other: id, uuid: fc.constantFrom(...uuids), kind: fc.nat(9), to: fc.nat(2) })
    .map(({ host: at, id: one, other, uuid, kind, to }) => {
      const kinds = [
        `${one}: client=x[192.0.2.${to}]`,
        `${one}: client=x[127.0.0.1], orig_queue_id=${other}, orig_client=y[192.0.2.9]`,
        messageId(one, uuid),
        `${one}: info: header X-Sendpost-Message-UUID: ${uuid} from x[192.0.2.1]; from=<s@x> to=<r@x>`,
        `${one}: from=<${to === 0 ? '' : 's@x'}>, size=1, nrcpt=1 (queue active)`,
        status(one, 'deferred', '450 later').replace('r@x', `r${to}@x`),
        near(sent(one, `250 Ok: queued as ${other}`)),
        `${one}: from=<s@x>, status=expired, returned to sender`,
        `${one}: removed`,
        `${one}: uid=0 from=<x> orig_id=${other}`,
      ]
      return `${at}${kinds[kind]}`
    })
  // In which order hosts are numbered and how high serials are is of no matter.
  const stateOf = ({ correlator }: Lab) => [...correlator.save()].map(text => text.replace(/"s":\d+,/, '')).toSorted()
  const step = fc.record({ line, laterMs: fc.constantFrom(0, 0, 0, 60_000, 500_000), restarts: fc.nat(3) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.constantFrom(4, 100), (steps, entriesMax) => {
      const options = { entriesMax, ttlMs: 900_000, deferredIntervalMs: 100_000 }
      const [steady, restarted] = [new Lab(options), new Lab(options)]
      for (const { line: text, laterMs, restarts } of steps) {
        steady.later(laterMs).read(text)
        restarted.later(laterMs).read(text)
        if (restarts === 0) restarted.restart()
        assert.equal(JSON.stringify(restarted.outcomes), JSON.stringify(steady.outcomes))
        assert.deepEqual(stateOf(restarted), stateOf(steady))
      }
    }),
    { numRuns: sized(300, 20_000) },
  )
})

test('Correlator never throws, and each result without UUID is counted in the end', () => {
  const words = fc.constantFrom(
    a,
    b,
    ': ',
    'client=',
    'x[1.2.3.4]',
    'message-id=',
    u1,
    'to=<r@x>',
    ', relay=mx[1.2.3.4]:25',
    ', delay=1, delays=0/0/0/1',
    ', dsn=2.0.0',
    ', status=sent (',
    `250 queued as ${b})`,
    'from=<>',
    ', status=expired, returned to sender',
    'removed',
    ' (queue active)',
    'sender non-delivery notification: ',
    'uid=0 from=<x> orig_id=',
    '\u0000',
    '"',
    '>',
  )
  const line = fc.oneof(
    fc.array(words, { maxLength: 9 }).map(parts => parts.join('')),
    fc.constantFrom(...Object.values(cases).flatMap(([lines]) => lines)),
  )
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), lines => {
      const lab = new Lab().read(...lines)
      const held = lab.verdicts.filter(verdict => verdict === 'held').length
      lab.correlator.end()
      assert.ok(lab.correlator.counts.withoutUuid <= held + 60)
      assert.doesNotThrow(() => lab.restart())
    }),
    { numRuns: 500 },
  )
})
