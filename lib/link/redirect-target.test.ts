import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isRedirectTarget } from './redirect-target.ts'

const taken = [
  'https://example.com',
  'http://example.com/',
  'HTTPS://EXAMPLE.COM/A',
  'https://user:pass@example.com:8443/x?y#z',
  'https://example.com?q',
  'https://example.com#f',
  'https://[2001:db8::1]:8080/',
  'https://bücher.example/日本?q=😀',
  'https://example.com/a\\b',
  'https://example.com/a b',
  'https://example.com/\ud800',
]
for (const url of taken) test(`${JSON.stringify(url)} is taken`, () => assert.ok(isRedirectTarget(url)))

const refused = [
  '',
  '/path',
  '//example.com/',
  'example.com',
  'javascript:alert(1)',
  'JavaScript://example.com/%0Aalert(1)',
  'data:text/html,x',
  'vbscript:x',
  'file:///etc/passwd',
  'ftp://example.com/',
  'http:example.com',
  'http:/example.com',
  'http://',
  'http:///example.com',
  'https://\\example.com',
  'https:\\\\example.com',
  'https://example.com\\@evil.example/',
  'https://exa mple.com/',
  ' https://example.com/',
  'https://example.com/\r\nSet-Cookie: a=b',
  'https://example.com/\tx',
  'https://example.com/\0',
  'https://example.com/\u007f',
  'https://example.com/\u0085',
]
for (const url of refused) test(`${JSON.stringify(url)} is refused`, () => assert.ok(!isRedirectTarget(url)))

test('what is taken has the host that a browser sees, or none can be read', () => {
  const text = fc.string({ unit: fc.constantFrom(...'ab.@:/\\?#[] %\t\n\u0000é'.split('')), maxLength: 16 })
  fc.assert(
    fc.property(text, rest => {
      const url = `https://${rest}`
      if (!isRedirectTarget(url) || !URL.canParse(url)) return
      const host = /^https:\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(url)![1]!.replace(/:\d*$/, '')
      // The parser may only rewrite the host into ASCII, never take it from elsewhere.
      assert.equal(new URL(url).hostname, new URL(`https://${host}/`).hostname)
    }),
    { numRuns: 5000 },
  )
})
