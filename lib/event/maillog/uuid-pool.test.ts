import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UuidPool } from './uuid-pool.ts'

test('UuidPool keeps hundreds apart, and uses the numbers that were given back again', () => {
  const pool = new UuidPool()
  const words = (value: number) => Uint32Array.of(value, value + 1, value + 2, value + 3)
  pool.giveBack(0)
  const numbers = Array.from({ length: 500 }, (_, value) => pool.take(words(value)))
  assert.equal(new Set(numbers).size, 500)
  assert.ok(!numbers.includes(0))
  for (const number of numbers.slice(0, 250)) pool.giveBack(number)
  const again = Array.from({ length: 250 }, (_, value) => pool.take(words(1000 + value)))
  assert.deepEqual(new Set(again), new Set(numbers.slice(0, 250)))
  for (const [value, number] of numbers.entries()) if (value >= 250) assert.deepEqual(pool.get(number), words(value))
  for (const [value, number] of again.entries()) assert.deepEqual(pool.get(number), words(1000 + value))
})
