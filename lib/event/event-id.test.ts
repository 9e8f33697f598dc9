import assert from 'node:assert/strict'
import { test } from 'node:test'
import { derivedEventId, randomEventId } from './event-id.ts'

test('randomEventId gives decimal numbers below 2^63, spread over all of them, none twice', () => {
  const ids = Array.from({ length: 100_000 }, randomEventId)
  const sixteenths = new Uint32Array(16)
  const lastDigits = new Uint32Array(10)
  for (const id of ids) {
    assert.match(id, /^(?:0|[1-9]\d*)$/)
    const number = BigInt(id)
    assert.ok(number < 2n ** 63n, id)
    sixteenths[Number(number >> 59n)]!++
    lastDigits[Number(number % 10n)]!++
  }
  assert.equal(new Set(ids).size, ids.length)
  // Ten standard deviations around what is expected.
  for (const count of sixteenths) assert.ok(Math.abs(count - 6250) < 790, sixteenths.join())
  for (const count of lastDigits) assert.ok(Math.abs(count - 10_000) < 1000, lastDigits.join())
})

test('derivedEventId gives the same id for the same source, below 2^63', () => {
  assert.equal(derivedEventId('line'), derivedEventId(Buffer.from('line')))
  assert.notEqual(derivedEventId('line'), derivedEventId('Line'))
  assert.ok(BigInt(derivedEventId('line')) < 2n ** 63n)
})
