import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { bodyText, transferEncoding } from './body-text.ts'

const read = (body: string, encoding: 'identity' | 'base64') => bodyText(Buffer.from(body, 'latin1'), encoding)

test('transferEncoding knows the encodings in any case and trusts no other spelling', () => {
  const cases: Record<string, ReturnType<typeof transferEncoding>> = {
    '': 'identity',
    '7BIT': 'identity',
    '8bit': 'identity',
    Binary: 'identity',
    '8-bit': 'identity',
    'utf-8': 'identity',
    BASE64: 'base64',
    'Quoted-Printable': 'quoted-printable',
    'base64;': 'unknown',
    '"quoted-printable"': 'unknown',
    'x-uuencode': 'unknown',
    'base64 (really)': 'unknown',
  }
  for (const [value, expected] of Object.entries(cases)) assert.equal(transferEncoding(value), expected, value)
  assert.equal(transferEncoding(undefined), 'identity')
})

test('a base64 body keeps its line length and what stands behind it', () => {
  const text = 'x'.repeat(200)
  for (const lineChars of [60, 64, 70, 72, 76, 80]) {
    const digits = Buffer.from(text).toString('base64')
    const encoded = `${digits.replaceAll(new RegExp(`.{${lineChars}}`, 'g'), '$&\r\n')}\r\n\r\n`
    const changed = read(encoded, 'base64')!
      .splice([{ start: 100, end: 101, text: 'yyy' }])!
      .bytes.toString()
    assert.equal(Buffer.from(changed, 'base64').toString(), `${'x'.repeat(100)}yyy${'x'.repeat(99)}`)
    assert.ok(changed.endsWith('\r\n\r\n'))
    const lines = changed.trimEnd().split('\r\n')
    for (const line of lines.slice(0, -1)) assert.equal(line.length, lineChars)
    // Up to the change, the digits are the ones that were there.
    assert.ok(changed.startsWith(encoded.slice(0, lineChars)))
  }
})

test('a body that is not base64 is not read', () => {
  assert.equal(read('<html><a href="http://e.example">x</a></html>', 'base64'), undefined)
  assert.equal(read('QUJDR', 'base64'), undefined)
  assert.equal(read('!!!!\r\n????\r\nQUJD', 'base64'), undefined)
  assert.equal(read('QUJD\r\nRE*VG\r\n', 'base64'), undefined)
  assert.equal(read('QUI=\r\nRE VG\r\n', 'base64'), undefined)
  assert.equal(read('QUI=\r\n____\r\nlist footer\r\n', 'base64'), undefined)
  assert.equal(read('QU JD\r\n\r\nREU = \r\n', 'base64')?.text, 'ABCDE')
  assert.equal(read('', 'base64')?.text, '')
})

test('an unencoded body is spliced, and becomes quoted-printable when a line would pass 998 bytes', () => {
  const line = `${'a'.repeat(900)}HERE${'b'.repeat(90)}`
  const body = `first =\r\n${line}\r\nlast \r\n`
  const at = body.indexOf('HERE')
  const fits = read(body, 'identity')!.splice([{ start: at, end: at + 4, text: 'x'.repeat(8) }])!
  assert.equal(fits.encoding, undefined)
  assert.equal(fits.bytes.toString(), body.replace('HERE', 'x'.repeat(8)))
  const grown = read(body, 'identity')!.splice([{ start: at, end: at + 4, text: 'x'.repeat(9) }])!
  assert.equal(grown.encoding, 'quoted-printable')
  assert.equal(bodyText(grown.bytes, 'quoted-printable')!.text, body.replace('HERE', 'x'.repeat(9)))
  assert.ok(
    grown.bytes
      .toString()
      .split('\r\n')
      .every(row => row.length <= 76),
  )
})

test('an unencoded line that was too long already may grow', () => {
  const body = `${'a'.repeat(1200)}\r\n`
  const grown = read(body, 'identity')!.splice([{ start: 10, end: 10, text: 'link' }])!
  assert.equal(grown.encoding, undefined)
  const broken = read(body, 'identity')!.splice([{ start: 1100, end: 1100, text: 'link\r\nlink' }])!
  assert.equal(broken.encoding, undefined)
  assert.equal(broken.bytes.toString(), `${'a'.repeat(1100)}link\r\nlink${'a'.repeat(100)}\r\n`)
})

test('no unencoded line grows past 998 bytes, wherever the edits are', () => {
  const lines = fc.array(fc.nat(1100), { maxLength: 6 })
  fc.assert(
    fc.property(lines, fc.array(fc.tuple(fc.nat(), fc.nat(300)), { maxLength: 5 }), (lengths, cuts) => {
      const body = lengths.map(length => 'a'.repeat(length)).join('\r\n')
      const edits = cuts
        .map(([at, length]) => ({ at: at % (body.length + 1), length }))
        .map(({ at, length }) => ({ start: body[at - 1] === '\r' ? at - 1 : at, text: 'L'.repeat(length) }))
        .map(edit => ({ ...edit, end: edit.start }))
        .toSorted((a, b) => a.start - b.start)
      const { bytes, encoding } = read(body, 'identity')!.splice(edits)!
      const before = body.split('\r\n')
      const after = bytes.toString().split('\r\n')
      if (encoding === 'quoted-printable') assert.ok(after.every(line => line.length <= 76))
      else
        after.forEach((line, index) => assert.ok(line.length <= Math.max(998, before[index]!.length > 998 ? 1e9 : 0)))
    }),
    { numRuns: 500 },
  )
})

test('a base64 body is read when it holds digits, white space, and padding at its end', () => {
  const isBase64 = (body: string): boolean => {
    const digits = body.replaceAll(/[ \t\r\n]/g, '')
    return /^[A-Za-z0-9+/]*={0,2}$/.test(digits) && digits.replaceAll('=', '').length % 4 !== 1
  }
  const damage = fc.constantFrom('', '', '-', '_', '=', '==', '*', ' ', '\r\n', '\r', 'A', '\u00E9')
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary-ascii', maxLength: 60 }),
      fc.constantFrom(4, 8, 20),
      fc.constantFrom('', '\r\n', '\r\n\r\n', '\n'),
      damage,
      fc.nat(),
      (text, lineChars, tail, foreign, place) => {
        const digits = Buffer.from(text).toString('base64')
        const lines = digits.replaceAll(new RegExp(`.{${lineChars}}(?=.)`, 'g'), '$&\r\n')
        const at = place % (lines.length + 1)
        const body = lines.slice(0, at) + foreign + lines.slice(at) + tail
        assert.equal(read(body, 'base64') !== undefined, isBase64(body), JSON.stringify(body))
      },
    ),
    { numRuns: 3000 },
  )
})
