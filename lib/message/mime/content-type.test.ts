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
    ['text/plain; boundary=x', { type: 'text/plain' }],
  ]
  for (const [value, expected] of cases) assert.deepEqual(parseContentType(value), expected, value)
})

test('parseContentType takes no boundary that readers disagree on', () => {
  assert.deepEqual(parseContentType('multipart/mixed; boundary="a(1)b"'), { type: 'multipart/mixed' })
  assert.deepEqual(parseContentType('multipart/mixed; boundary=ab (new)'), { type: 'multipart/mixed', boundary: 'ab' })
})
