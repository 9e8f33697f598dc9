import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostCheck, isLoopback, keyCheck, keysOf } from './access.ts'

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

test('isLoopback knows the addresses of this machine', () => {
  assert.ok(['127.0.0.1', '127.8.8.8', 'localhost', '::1'].every(isLoopback))
  assert.ok(
    !['', '0.0.0.0', '::', '10.0.0.1', 'example.com', '127.evil.example', 'localhost.evil.example'].some(isLoopback),
  )
})

test('hostCheck takes loopback names and its own, with any port', () => {
  const isOurs = hostCheck({ host: '127.0.0.2', port: 8025 })
  assert.ok(['localhost:8025', '127.0.0.1', '[::1]:8025', '127.0.0.2:8025', 'LOCALHOST'].every(isOurs))
  assert.ok(
    ![undefined, '', 'evil.example', 'evil.example:8025', 'localhost.evil.example', '127.0.0.1.evil.example'].some(
      isOurs,
    ),
  )
})
