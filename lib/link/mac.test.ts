import assert from 'node:assert/strict'
import { createHmac, createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { macChars, macOf, macTextCharsMax } from './mac.ts'

test('macOf is the beginning of HMAC-SHA-256, for every key and text', () => {
  const ascii = fc.string({ unit: 'binary-ascii', maxLength: 300 })
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), ascii, ascii, (bytes, head, text) => {
      const expected = createHmac('sha256', bytes).update(head).update(text).digest('base64url').slice(0, macChars)
      assert.equal(macOf(createSecretKey(bytes), head, text), expected)
    }),
  )
})

test('macOf keeps keys apart, also when they take turns, and takes the longest text', () => {
  const secrets = [1, 2].map(byte => createSecretKey(Buffer.alloc(32, byte)))
  const text = 'x'.repeat(macTextCharsMax)
  for (const turn of [0, 1, 0, 1]) {
    const expected = createHmac('sha256', secrets[turn]!).update(text).digest('base64url').slice(0, macChars)
    assert.equal(macOf(secrets[turn]!, text.slice(0, 3), text.slice(3)), expected)
  }
})
