import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { messageIdTime, newMessageId } from './message-id.ts'

test('messageIdTime gives the second in which an id was made', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (at, random) => {
        const id = newMessageId(at * 1000 + 999, random)
        assert.equal(messageIdTime(id), at * 1000)
        assert.equal(messageIdTime(id.toUpperCase()), at * 1000)
      },
    ),
  )
})

test('messageIdTime knows the form of an id from every other text', () => {
  const form = /^0000[0-9a-f]{16}$/i
  const character = fc.constantFrom(...Array.from('0000123489abcdefABCDEFgG@`:/ éı'))
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 22 }), text => {
      for (const id of [text, `0000${text}`, `0000${text}`.padEnd(20, '7')]) {
        assert.equal(messageIdTime(id) !== undefined, form.test(id), id)
      }
    }),
  )
  assert.equal(messageIdTime('00000000000000000000\n'), undefined)
})
