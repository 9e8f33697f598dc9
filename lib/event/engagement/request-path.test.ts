import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { asksForRobots, tokenOf } from './request-path.ts'

const cases: readonly [target: string, prefix: string, token: string | undefined][] = [
  ['/abc-_9', '', 'abc-_9'],
  ['/abc?fbclid=1', '', 'abc'],
  ['/abc#x', '', 'abc'],
  ['/abc==', '', 'abc=='],
  ['/abc%3D%3D', '', 'abc=='],
  ['http://track.example.com/abc', '', 'abc'],
  ['http://track.example.com/t/abc', '/t', 'abc'],
  ['/t/abc', '/t', 'abc'],
  ['/abc', '/t', 'abc'],
  ['/t/abc', '', undefined],
  ['/tt/abc', '/t', undefined],
  ['/', '', undefined],
  ['', '', undefined],
  ['*', '', undefined],
  ['//abc', '', undefined],
  ['/abc/', '', undefined],
  ['/abc/def', '', undefined],
  ['/abc%2Fdef', '', undefined],
  ['/abc%', '', undefined],
  ['/abc%00', '', undefined],
  ['/abc%C3%A4', '', undefined],
  ['/../abc', '', undefined],
  ['xabc', '', undefined],
  ['/abc\0', '', undefined],
  ['/abc%0D%0A', '', undefined],
  ['/favicon.ico', '', undefined],
  ['/.well-known/apple-app-site-association', '', undefined],
]

for (const [target, prefix, token] of cases) {
  test(`tokenOf ${JSON.stringify(target)} below ${prefix || '/'} is ${token}`, () => {
    assert.equal(tokenOf(target, prefix), token)
  })
}

test('tokenOf finds every base64url token, and nothing else in whatever text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), bytes => {
      const token = Buffer.from(bytes).toString('base64url')
      assert.equal(tokenOf(`/${token}`, ''), token)
    }),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const token = tokenOf(text, '')
      return token === undefined || /^[\w-]+={0,2}$/.test(token)
    }),
  )
})

test('asksForRobots', () => {
  for (const target of ['/robots.txt', '/robots.txt?x', 'http://a.example/robots.txt']) assert.ok(asksForRobots(target))
  for (const target of ['/robots.txt/', '/robots', '/a/robots.txt', '/robotsXtxt']) assert.ok(!asksForRobots(target))
})
