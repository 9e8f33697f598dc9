import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyCheck, keysOf } from './access.ts'

test('keyCheck without a key takes any that is not empty', () => {
  const isKey = keyCheck(undefined)
  assert.deepEqual([isKey('x'), isKey(''), isKey(undefined)], [true, false, false])
})

test('keyCheck with a key takes that one only', () => {
  const isKey = keyCheck('secret')
  assert.deepEqual(
    [isKey('secret'), isKey('Secret'), isKey('secre'), isKey(''), isKey(undefined)],
    [true, false, false, false, false],
  )
})

test('keysOf finds the key as it is and in either half of Basic', () => {
  assert.deepEqual(keysOf('KEY'), ['KEY'])
  assert.ok(keysOf(`Basic ${Buffer.from('KEY:').toString('base64')}`).includes('KEY'))
  assert.ok(keysOf(`basic ${Buffer.from('me:KEY:with:colons').toString('base64')}`).includes('KEY:with:colons'))
  assert.deepEqual(keysOf(undefined), [undefined])
})
