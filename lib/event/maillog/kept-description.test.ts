import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { descriptionBytesMax, keptDescription } from './kept-description.ts'

const kept = (bytes: Buffer) => keptDescription(`(${bytes.toString('latin1')})`, 1, bytes.length + 1)

test('keptDescription keeps what fits, and else the beginning, cut between two characters', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('a', 'ü', '€', '😀'),
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 1, max: 6000 }),
      (character, shift, count) => {
        const text = 'x'.repeat(shift) + character.repeat(count)
        const found = kept(Buffer.from(text))
        const bytes = Buffer.byteLength(found)
        assert.ok(bytes <= descriptionBytesMax)
        assert.ok(text.startsWith(found))
        assert.ok(!found.includes('\uFFFD'))
        if (found !== text) assert.ok(bytes > descriptionBytesMax - 4, `${bytes} bytes`)
      },
    ),
  )
})
test('keptDescription keeps its limit whatever the bytes are', () => {
  for (const byte of [0x80, 0xff, 0xc3])
    assert.ok(Buffer.byteLength(kept(Buffer.alloc(60_000, byte))) <= descriptionBytesMax)
})
