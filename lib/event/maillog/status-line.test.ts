import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { readStatusLine } from './status-line.ts'

function read(line: string) {
  const found = readStatusLine(line, 0, line.length)
  if (!found) return undefined
  const text = (from: number, to: number) => (from === -1 ? undefined : line.slice(from, to))
  return {
    to: text(found.toFrom, found.toEnd),
    origTo: text(found.origToFrom, found.origToEnd),
    relay: text(found.relayFrom, found.relayEnd),
    dsn: text(found.dsnFrom, found.dsnEnd),
    status: text(found.statusFrom, found.statusEnd),
    text: text(found.textFrom, found.textEnd),
    closed: found.closed,
  }
}

const tail = 'delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)'
const good = { dsn: '2.0.0', status: 'sent', text: '250 ok', closed: true }

const forms: Record<string, [string, object | undefined]> = {
  plain: [
    `to=<a@b.example>, relay=mx[192.0.2.1]:25, ${tail}`,
    { to: 'a@b.example', relay: 'mx[192.0.2.1]:25', ...good },
  ],
  'alias before it': [
    `to=<a@b>, orig_to=<c@d>, relay=local, ${tail}`,
    { to: 'a@b', origTo: 'c@d', relay: 'local', ...good },
  ],
  'alias without domain': [
    `to=<a@b>, orig_to=<root>, relay=local, ${tail}`,
    { to: 'a@b', origTo: 'root', relay: 'local', ...good },
  ],
  'no brackets': [
    `to=a@b, orig_to=root@localhost, relay=local, ${tail}`,
    { to: 'a@b', origTo: 'root@localhost', relay: 'local', ...good },
  ],
  'connection used again': [
    `to=<a@b>, relay=mx[::1]:25, conn_use=17, ${tail}`,
    { to: 'a@b', relay: 'mx[::1]:25', ...good },
  ],
  'TLS level of 3.11': [
    'to=<a@b>, relay=none, delay=0.1, delays=0/0/0/0, tls=dane/!requiretls:nocertmatch, dsn=4.7.5, status=deferred (x)',
    { to: 'a@b', relay: 'none', dsn: '4.7.5', status: 'deferred', text: 'x' },
  ],
  'before Postfix 2.3': [
    'to=<a@b>, orig_to=<c@d>, relay=mx.b[192.0.2.1], delay=1, status=bounced (host mx.b[192.0.2.1] said: 550 no)',
    { to: 'a@b', origTo: 'c@d', relay: 'mx.b[192.0.2.1]', dsn: undefined, status: 'bounced' },
  ],
  'quoted local part with all that looks like fields': [
    String.raw`to=<"a>, relay=evil, delay=1, delays=1/1/1/1, dsn=2.0.0, status=sent (250 \"x"@b>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (no)`,
    {
      to: String.raw`"a>, relay=evil, delay=1, delays=1/1/1/1, dsn=2.0.0, status=sent (250 \"x"@b`,
      status: 'bounced',
      dsn: '5.1.1',
    },
  ],
  'before 3.5: not quoted': [`to=<a>b, c@d>, relay=none, ${tail}`, { to: 'a>b, c@d', relay: 'none', ...good }],
  'a reply that looks like a status': [
    'to=<a@b>, relay=none, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host x[1] said: 550 ), status=sent (250 ok) to=<z>)',
    { to: 'a@b', status: 'bounced', text: 'host x[1] said: 550 ), status=sent (250 ok) to=<z>' },
  ],
  'cut in its text': [
    'to=<a@b>, relay=none, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host x[1] said: 550 5.1',
    { status: 'bounced', text: 'host x[1] said: 550 5.1', closed: false },
  ],
  'empty text': ['to=<a@b>, relay=none, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced ()', { text: '' }],
  'no status': ['to=<a@b>, relay=none, delay=1, delays=0/0/0/1, dsn=5.0.0', undefined],
  'no relay': [`to=<a@b>, ${tail}`, undefined],
  'class of a code that is none': [
    'to=<a@b>, relay=none, delay=1, delays=0/0/0/1, dsn=3.0.0, status=sent (x)',
    undefined,
  ],
}

for (const [name, [line, expected]] of Object.entries(forms)) {
  test(`readStatusLine: ${name}`, () => {
    const found = read(line)
    if (expected === undefined) assert.equal(found, undefined)
    else assert.partialDeepStrictEqual(found, expected)
  })
}

test('readStatusLine takes any address that Postfix 3.5 and later log, and any text, as they are', () => {
  const quoted = fc
    .string({ unit: 'binary-ascii', maxLength: 40 })
    .map(text => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"@d`)
  const dotAtom = fc.stringMatching(/^[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,30}@[a-z.]{1,20}$/)
  fc.assert(
    fc.property(fc.oneof(quoted, dotAtom), fc.string({ maxLength: 200 }), (to, text) => {
      const line = `to=<${to}>, relay=mx[1.2.3.4]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (${text})`
      assert.partialDeepStrictEqual(read(line), { to, status: 'bounced', text })
    }),
  )
})

test('readStatusLine ends whatever the line is, in time', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => void read(`to=<${text}`)))
  const started = performance.now()
  read(`to=<${'>, orig_to=<'.repeat(5000)}`)
  read(`to=<${'>, relay=a, '.repeat(5000)}`)
  assert.ok(performance.now() - started < 1000)
})
