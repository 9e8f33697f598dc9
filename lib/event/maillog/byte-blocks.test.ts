import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ByteBlocks } from './byte-blocks.ts'

test('ByteBlocks never lets two blocks overlap', () => {
  const step = fc.record({
    bytes: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 20_000 })),
    giveBack: fc.option(fc.nat(200)),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), steps => {
      const blocks = new ByteBlocks(1e9)
      const taken: { block: number; bytes: number; mark: number }[] = []
      for (const [mark, { bytes, giveBack }] of steps.entries()) {
        const [back] = giveBack === null ? [] : taken.splice(giveBack, 1)
        if (back) blocks.giveBack(back.block, back.bytes)
        const block = blocks.take(bytes)
        assert.notEqual(block, 0)
        blocks.page(block).fill(mark & 255, blocks.offset(block), blocks.offset(block) + bytes)
        taken.push({ block, bytes, mark })
      }
      for (const { block, bytes, mark } of taken) {
        const from = blocks.offset(block)
        assert.ok(
          blocks
            .page(block)
            .subarray(from, from + bytes)
            .every(byte => byte === (mark & 255)),
        )
      }
    }),
    { numRuns: 50 },
  )
})
test('ByteBlocks uses what was given back again', () => {
  const blocks = new ByteBlocks(1e9)
  for (let round = 0; round < 100_000; round++) {
    const bytes = 100 + (round % 3000)
    blocks.giveBack(blocks.take(bytes), bytes)
  }
  assert.equal(blocks.bytes, 1 << 20)
})

test('ByteBlocks never takes more than it may, and has room again for what is given back', () => {
  const blocks = new ByteBlocks(4 << 20)
  for (const bytes of [100, 5_000, 9_000, 300_000]) {
    const taken: number[] = []
    while (blocks.hasRoom(bytes)) taken.push(blocks.take(bytes))
    assert.ok(blocks.bytes <= 4 << 20, `${blocks.bytes} bytes`)
    assert.throws(() => blocks.take(bytes), RangeError)
    for (const block of taken) blocks.giveBack(block, bytes)
    assert.equal(taken.length > 0, blocks.hasRoom(bytes))
  }
})
