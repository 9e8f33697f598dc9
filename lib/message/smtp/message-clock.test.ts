import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import { MessageClock } from './message-clock.ts'

const limits = { dataGraceMs: 30_000, dataBytesPerSecondMin: 500, messageMs: 100_000 }

describe('MessageClock', () => {
  test('a client has its grace, and what the slowest rate gives for what it sent', () => {
    const clock = new MessageClock(limits, 1000)
    assert.ok(!clock.isLate(31_000))
    assert.ok(clock.isLate(31_001))
    clock.received(500)
    assert.ok(!clock.isLate(32_000))
    assert.ok(clock.isLate(32_001))
    assert.equal(clock.bytes, 500)
  })

  test('time in which it was made to wait does not count, but for the whole', () => {
    const clock = new MessageClock(limits, 0)
    clock.block(10_000)
    assert.ok(!clock.isLate(60_000))
    clock.unblock(60_000)
    assert.ok(!clock.isLate(80_000))
    assert.ok(clock.isLate(80_001))
    clock.received(1e9)
    assert.ok(!clock.isLate(100_000))
    assert.ok(clock.isLate(100_001))
  })
})
