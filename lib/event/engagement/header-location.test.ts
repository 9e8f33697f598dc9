import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { headerLocation } from './header-location.ts'

const asWritten = [
  'https://example.com/',
  'https://example.com',
  'HTTP://EXAMPLE.com/Path',
  'https://example.com/%E4%FC?x=%2F&y=[1]#frag%23ment',
  'https://example.com/a/../b//c/./d',
  'https://user:pass@example.com:8443/?q={x}|y^z`"<>\'\\',
  'https://example.com/100%',
  'https://[2001:db8::1]/x',
  'https://example.com?a=1;b=2&&c',
]

for (const url of asWritten) {
  test(`headerLocation leaves ${url} as it is`, () => assert.equal(headerLocation(url), url))
}

test('headerLocation escapes what a header can not hold', () => {
  assert.equal(headerLocation('https://example.com/日本?q=ä b'), 'https://example.com/%E6%97%A5%E6%9C%AC?q=%C3%A4%20b')
  assert.equal(headerLocation('https://bücher.example/'), 'https://b%C3%BCcher.example/')
  assert.equal(headerLocation('https://example.com/\u{1F600}'), 'https://example.com/%F0%9F%98%80')
  assert.equal(headerLocation('https://example.com/\ud800'), 'https://example.com/%EF%BF%BD')
})

const refused = [
  '',
  'javascript:alert(1)',
  'data:text/html,x',
  'ftp://example.com/',
  '//example.com/',
  'https:/example.com',
  'https:example.com',
  'https:\\\\example.com',
  'https://',
  'https:///path',
  'https://?x',
  'https://\\example.com',
  ' https://example.com/',
  'https://example.com/\r\nSet-Cookie: a=b',
  'https://example.com/\n',
  'https://example.com/\t',
  'https://example.com/\0',
  'https://example.com/\u007f',
  'vbscript:https://example.com',
]

for (const url of refused) {
  test(`headerLocation refuses ${JSON.stringify(url)}`, () => assert.equal(headerLocation(url), undefined))
}

test('headerLocation gives a printable ASCII text that means the same', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), tail => {
      const url = `https://example.com/${tail}`
      const location = headerLocation(url)
      if (/\p{Cc}/u.test(url)) return location === undefined
      if (location === undefined) return false
      assert.match(location, /^[!-~]+$/)
      // Every byte of the URL is there, in order, as itself or as its escape.
      let rest = location
      for (const byte of Buffer.from(url)) {
        const escape = `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
        const form = byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : escape
        if (!rest.startsWith(form)) return false
        rest = rest.slice(form.length)
      }
      return rest === ''
    }),
    { numRuns: 2000 },
  )
})
