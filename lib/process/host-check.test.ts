import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostCheck } from './host-check.ts'

test('hostCheck takes loopback names and its own, with any port', () => {
  const isOurs = hostCheck({ host: '127.0.0.2', port: 8025 })
  assert.ok(['localhost:8025', '127.0.0.1', '[::1]:8025', '127.0.0.2:8025', 'LOCALHOST'].every(isOurs))
  assert.ok(
    ![undefined, '', 'evil.example', 'evil.example:8025', 'localhost.evil.example', '127.0.0.1.evil.example'].some(
      isOurs,
    ),
  )
})
