import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { LogLineReader } from './log-line.ts'
import { StampClock } from './stamp-clock.ts'
import { TimeZone } from './time-zone.ts'

const now = Date.parse('2026-11-21T18:00:00Z')
const reader = () => new LogLineReader(new StampClock(new TimeZone('UTC'), () => now))

function read(line: string) {
  const found = reader().read(Buffer.from(line, 'utf8').toString('latin1'))
  return (
    found && {
      at: new Date(found.at / 1000).toISOString(),
      host: found.host,
      text: Buffer.from(found.line.slice(found.from, found.to), 'latin1').toString('utf8'),
    }
  )
}

const text = '89F46278BB9: to=<почта@example.com>'
const second = '2026-11-21T16:24:03.000Z'
const forms: Record<string, [string, string]> = {
  'traditional syslog': [`Nov 21 16:24:03 mx postfix/smtp[7]: ${text}`, second],
  'traditional syslog, day padded by a blank': [
    `Nov  9 16:24:03 mx postfix/smtp[7]: ${text}`,
    '2026-11-09T16:24:03.000Z',
  ],
  postlogd: [`Nov 09 16:24:03 mx postfix/smtp[7]: ${text}`, '2026-11-09T16:24:03.000Z'],
  'month of another language': [`Νοε 21 16:24:03 mx postfix/smtp[7]: ${text}`, second],
  'RFC 3339': [`2026-11-21T17:24:03.867203+01:00 mx postfix/smtp[7]: ${text}`, '2026-11-21T16:24:03.867Z'],
  'journalctl short-iso': [`2026-11-21T16:24:03+0000 mx postfix/smtp[7]: ${text}`, second],
  'priority before it': [`<22>Nov 21 16:24:03 mx postfix/smtp[7]: ${text}`, second],
  'priority before RFC 3339': [`<22>2026-11-21T16:24:03Z mx postfix/smtp[7]: ${text}`, second],
  'RFC 5424': [`<22>1 2026-11-21T16:24:03Z mx postfix 7 - -  ${text}`, second],
  'RFC 5424 with structured data': [
    `<22>1 2026-11-21T16:24:03Z mx postfix 7 - [a b="]"][c d="\\""] \uFEFF${text}`,
    second,
  ],
  Kubernetes: [
    `2026-11-21T16:24:03.123456789Z stdout F Nov 21 16:24:03 mx postfix/smtp[7]: ${text}`,
    '2026-11-21T16:24:03.123Z',
  ],
  'Kubernetes, of a container with rsyslog': [
    `2026-11-21T16:24:03.123456789Z stderr F 2026-11-21T16:24:02.9+00:00 mx postfix/smtp[7]: ${text}`,
    '2026-11-21T16:24:03.123Z',
  ],
  'docker logs --timestamps': [
    `2026-11-21T16:24:03.123456789Z Nov 21 16:24:03 mx postfix/smtp[7]: ${text}`,
    '2026-11-21T16:24:03.123Z',
  ],
  'docker logs --timestamps, day padded by a blank': [
    `2026-11-09T16:24:03.123456789Z Nov  9 16:24:03 mx postfix/smtp[7]: ${text}`,
    '2026-11-09T16:24:03.123Z',
  ],
  'docker logs --timestamps, of a container with rsyslog': [
    `2026-11-21T16:24:03.5Z 2026-11-21T17:24:02+01:00 mx postfix/smtp[7]: ${text}`,
    '2026-11-21T16:24:03.500Z',
  ],
  'Docker, of a container with rsyslog': [
    JSON.stringify({
      log: `2026-11-21T16:24:02.867203+00:00 mx postfix/smtp[7]: ${text}\n`,
      stream: 'stdout',
      time: '2026-11-21T16:24:03.5Z',
    }),
    '2026-11-21T16:24:03.500Z',
  ],
  Docker: [
    JSON.stringify({
      log: `Nov 21 16:24:03 mx postfix/smtp[7]: ${text}\n`,
      stream: 'stdout',
      time: '2026-11-21T16:24:03.5Z',
    }),
    '2026-11-21T16:24:03.500Z',
  ],
  journald: [
    JSON.stringify({ MESSAGE: text, _HOSTNAME: 'mx', _SOURCE_REALTIME_TIMESTAMP: '1795278243000000' }),
    second,
  ],
  'journald, bytes': [
    JSON.stringify({ MESSAGE: [...Buffer.from(text)], _HOSTNAME: 'mx', __REALTIME_TIMESTAMP: '1795278243000000' }),
    second,
  ],
}
for (const [name, [line, at]] of Object.entries(forms)) {
  test(`LogLineReader reads ${name}`, () => assert.deepEqual(read(line), { at, host: 'mx', text }))
}

for (const line of [
  '',
  'postfix/postfix-script: starting the Postfix mail system',
  'Nov 21 16:24:03 mx last message repeated 2 times',
  'Foo bar 16:24:03 mx postfix/smtp[7]: x',
  '2026-13-41T16:24:03Z mx postfix/smtp[7]: x',
  '2026-11-21T16:24:03Z 2026-11-21T16:24:03Z 2026-11-21T16:24:03Z mx postfix/smtp[7]: x',
  '{"MESSAGE":7}',
  '{',
  '<22>1 2026-11-21T16:24:03Z mx',
]) {
  test(`LogLineReader knows no line "${line}"`, () => assert.equal(read(line), undefined))
}

test('LogLineReader reports what journald says it dropped', () => {
  const record = {
    MESSAGE: 'Suppressed 16067 messages',
    MESSAGE_ID: 'a596d6fe7bfa4994828e72309e95d61e',
    N_DROPPED: '16067',
    __REALTIME_TIMESTAMP: '1',
  }
  assert.equal(reader().read(JSON.stringify(record))?.suppressed, 16_067)
})

test('LogLineReader never throws', () => {
  const one = reader()
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), line => void one.read(line)))
  fc.assert(fc.property(fc.json(), line => void one.read(line)))
})
