import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { encodeQuotedPrintable, QuotedPrintableText } from './quoted-printable.ts'

/** RFC 2045 §6.7, read independently of the code under test. */
function decode(encoded: string): string {
  return encoded
    .replaceAll(/[ \t]+(?=\r\n|$(?![^]))/g, '')
    .replaceAll(/=(?:\r\n|$(?![^]))/g, '')
    .replaceAll(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

const piece = fc.oneof(
  fc.constantFrom(
    '=3D',
    '=\r\n',
    '\r\n',
    ' ',
    '\t',
    '=20',
    '=E2=80=93',
    '= \r\n',
    '<a href=3D"',
    'http://e.example/?a=3Db',
    '=',
  ),
  fc.string({ unit: fc.constantFrom('a', 'b', 'x', '<', '>', '"', '-', '.') }),
)
// `=` before a soft break would join with what follows it; readers differ there.
const encodedText = fc.array(piece, { maxLength: 60 }).map(pieces =>
  pieces
    .join('')
    .replaceAll(/=(?=[^0-9A-F \r]|[0-9A-F][^0-9A-F]|$)/g, '=3D')
    .replaceAll(/=(?![0-9A-F]{2}|[ \t]*\r\n)/g, '=3D'),
)

test('QuotedPrintableText decodes what an independent reader decodes', () => {
  fc.assert(
    fc.property(encodedText, encoded => {
      assert.equal(new QuotedPrintableText(Buffer.from(encoded, 'latin1')).text, decode(encoded))
    }),
    { numRuns: 2000 },
  )
})

test('QuotedPrintableText changes what it is told to, and nothing else', () => {
  const cut = fc.tuple(
    fc.nat(),
    fc.nat(12),
    fc.constantFrom('', 'x', 'https://t.example/-0_a'.repeat(9), 'a=b', 'p\r\n', '--'.repeat(50)),
  )
  fc.assert(
    fc.property(encodedText, fc.array(cut, { maxLength: 4 }), (encoded, cuts) => {
      const body = new QuotedPrintableText(Buffer.from(encoded, 'latin1'))
      const text = body.text
      // Edits never part CR from LF.
      const whole = (at: number): number => (text[at - 1] === '\r' ? at - 1 : at)
      const edits = cuts
        .map(([at, length, replacement]) => ({ start: whole(at % (text.length + 1)), length, text: replacement }))
        .toSorted((a, b) => a.start - b.start)
        .map((edit, index, all) => ({
          start: edit.start,
          end: Math.min(Math.max(edit.start, whole(edit.start + edit.length)), all[index + 1]?.start ?? text.length),
          text: edit.text,
        }))
      let expected = ''
      let from = 0
      for (const edit of edits) {
        expected += text.slice(from, edit.start) + edit.text
        from = edit.end
      }
      expected += text.slice(from)
      const changed = body.splice(edits).bytes.toString('latin1')
      // White space of the text that an edit moved to a line's end is padding to any reader.
      const unpadded = (value: string): string => value.replaceAll(/[ \t]+(?=\r\n|$(?![^]))/g, '')
      assert.equal(unpadded(decode(changed)), unpadded(expected))
    }),
    { numRuns: 3000 },
  )
})

test('QuotedPrintableText takes an = at the end for a soft break, which stays last', () => {
  for (const end of ['=', '= ', '=\t ']) {
    for (const text of ['<body>x</body>', '<body>x ', '', '<p>=3D']) {
      const body = new QuotedPrintableText(Buffer.from(text + end))
      assert.equal(body.text, decode(text + end))
      const places = [0, body.text.length]
      for (const place of places) {
        const edit = { start: place, end: place, text: 'p'.repeat(200) }
        const changed = body.splice([edit]).bytes.toString()
        assert.ok(changed.endsWith(end))
        assert.equal(decode(changed), body.text.slice(0, place) + edit.text + body.text.slice(place))
      }
    }
  }
})

test('QuotedPrintableText leaves lines without a change byte for byte', () => {
  const lines = [
    'plain =3D line ',
    'a soft=',
    ' break',
    'trailing  ',
    '<a href=3D"http://old.example/=\r\nlong?x=3D1">text</a> and more of it',
    'last=20',
  ]
  const encoded = lines.join('\r\n')
  const body = new QuotedPrintableText(Buffer.from(encoded))
  const start = body.text.indexOf('http')
  const end = body.text.indexOf('"', start)
  const changed = body.splice([{ start, end, text: `https://track.example.com/${'t'.repeat(120)}` }]).bytes.toString()
  const after = changed.split('\r\n')
  assert.deepEqual(after.slice(0, 4), lines.slice(0, 4))
  assert.equal(after.at(-1), 'last=20')
  assert.ok(after.every(line => line.length <= 76))
  assert.equal(
    decode(changed),
    decode(encoded).replace('http://old.example/long?x=1', `https://track.example.com/${'t'.repeat(120)}`),
  )
})

test('QuotedPrintableText makes no line that begins like a delimiter', () => {
  const body = new QuotedPrintableText(Buffer.from(`<a href=3D"x">`))
  const changed = body.splice([{ start: 9, end: 10, text: `${'a'.repeat(63)}${'-'.repeat(200)}` }]).bytes.toString()
  const lines = changed.split('\r\n')
  assert.ok(lines.length > 1)
  assert.equal(decode(changed), `<a href="${'a'.repeat(63)}${'-'.repeat(200)}">`)
})

test('QuotedPrintableText moves what begins like a delimiter to a line of its own without making it one', () => {
  const body = new QuotedPrintableText(Buffer.from(`<body>--b${'x'.repeat(900)}\r\nend`))
  const changed = body.splice([{ start: 6, end: 6, text: 'p'.repeat(60) }]).bytes.toString()
  assert.equal(changed, `<body>${'p'.repeat(60)}=\r\n=2D-b${'x'.repeat(900)}\r\nend`)
})

test('encodeQuotedPrintable round-trips any bytes in lines of at most 76 characters', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(3), (bytes, lineEnds) => {
      const text =
        Buffer.from(bytes)
          .toString('latin1')
          .replaceAll(/[\r\n]/g, '') + ' \r\n'.repeat(lineEnds)
      const encoded = encodeQuotedPrintable(text).toString('latin1')
      assert.equal(decode(encoded), text)
      for (const line of encoded.split('\r\n')) assert.ok(line.length <= 76, line)
    }),
    { numRuns: 1000 },
  )
})
