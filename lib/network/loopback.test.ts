import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopback } from './loopback.ts'

test('isLoopback knows the names of this machine, as settings and URLs write them', () => {
  for (const host of [
    '127.0.0.1',
    '127.8.8.8',
    'localhost',
    'LocalHost',
    'localhost.',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
  ])
    assert.ok(isLoopback(host), host)
  for (const host of [
    '',
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '1127.0.0.1',
    '127.0.0.256',
    '[localhost]',
    'localhost.example.com',
    '127.0.0.1.example',
    '127.evil.example',
    'x.localhost',
  ])
    assert.ok(!isLoopback(host), host)
})
