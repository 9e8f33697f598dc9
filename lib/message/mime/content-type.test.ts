import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseContentType } from './content-type.ts'

test('parseContentType reads type, boundary and charset', () => {
  const cases: [string | undefined, ReturnType<typeof parseContentType>][] = [
    [undefined, { type: 'text/plain' }],
    ['', { type: 'text/plain' }],
    ['TEXT/HTML', { type: 'text/html' }],
    ['text/html; charset="UTF-8"', { type: 'text/html', charset: 'utf-8' }],
    ["text/html; charset='utf-8'; x=y", { type: 'text/html', charset: 'utf-8' }],
    ['text/html ; CHARSET = iso-8859-1', { type: 'text/html', charset: 'iso-8859-1' }],
    ['text/html (a page); charset=us-ascii (plain)', { type: 'text/html', charset: 'us-ascii' }],
    // Without a semicolon it is not what it seems, to most readers.
    ['text/html charset=utf-8', { type: 'text/html charset=utf-8' }],
    ['multipart/mixed; boundary=abc', { type: 'multipart/mixed', boundary: 'abc' }],
    ['multipart/mixed;\tBoundary = "a b\\"c  "', { type: 'multipart/mixed', boundary: 'a b"c' }],
    ['multipart/mixed; x=y; boundary="=_1--"', { type: 'multipart/mixed', boundary: '=_1--' }],
    ['multipart/mixed; boundary=""', { type: 'multipart/mixed' }],
    ['multipart/mixed', { type: 'multipart/mixed' }],
    ['text/plain; Format=Flowed; DelSp="Yes"', { type: 'text/plain', delSp: true }],
    ['text/plain; delsp=yes; format=fixed', { type: 'text/plain' }],
    ['text/plain; boundary=x', { type: 'text/plain' }],
  ]
  for (const [value, expected] of cases) assert.deepEqual(parseContentType(value), expected, value)
})

test('parseContentType reads the charset where it is, and tells when readers disagree on it', () => {
  const charsets: Record<string, string | undefined> = {
    'charset*=utf-16le': '*',
    "charset*=us-ascii'en'utf-16le": '*',
    "charset*=us-ascii'en'utf-8": 'utf-8',
    "charset*=''iso%2D8859-1": 'iso-8859-1',
    'charset*=utf-8': '*',
    'charset*0=utf-; charset*1=16le': '*',
    'charset*0=utf-; charset*1=8': 'utf-8',
    'charset*1=8; charset*0=utf-': 'utf-8',
    "charset*0*=''utf-; charset*1=8": 'utf-8',
    'charset*0=utf-; charset*2=8': '*',
    'charset*0=x-un; charset*1=known': '*',
    'charset*9=utf-8': '*',
    'charset=utf-8; charset*=utf-16': '*',
    "charset=utf-8; charset*=''utf-8": 'utf-8',
    'charset=utf-8; charset=utf-16le': '*',
    'charset=utf-16le; charset=utf-8': '*',
    'charset=utf-8; charset=iso-8859-1': 'utf-8',
    'name="a;charset=utf-8"; charset=utf-16le': 'utf-16le',
    'name="a;charset=utf-16le"; charset=utf-8': 'utf-8',
    'name="a\\";charset=utf-8"; charset=utf-16le': 'utf-16le',
    'name="a(";charset=utf-16le;x=")"': 'utf-16le',
    'charset="utf-8" (x); x=y': 'utf-8',
    'name=a;charset=(c)utf-16(d)': 'utf-16',
    'charset=x-unknown': 'x-unknown',
    'charset=': undefined,
    charset: undefined,
  }
  for (const [text, expected] of Object.entries(charsets))
    assert.equal(parseContentType(`text/html; ${text}`).charset, expected, text)
})

test('parseContentType takes no boundary that readers disagree on', () => {
  assert.deepEqual(parseContentType('multipart/mixed; boundary="a(1)b"'), { type: 'multipart/mixed' })
  for (const value of [
    'name="a; boundary=x"; boundary=y',
    'boundary=x; boundary*=y',
    'boundary*0=x; boundary*1=y',
    'boundary=x(y',
  ])
    assert.deepEqual(parseContentType(`multipart/mixed; ${value}`), { type: 'multipart/mixed' }, value)
  assert.deepEqual(parseContentType('multipart/mixed; boundary=ab (new)'), { type: 'multipart/mixed', boundary: 'ab' })
})
