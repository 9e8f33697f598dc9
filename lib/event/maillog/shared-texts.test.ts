import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ByteBlocks } from './byte-blocks.ts'
import { SharedTexts } from './shared-texts.ts'

test('SharedTexts keeps a text once, for as long as somebody has it', () => {
  const text = fc.oneof(
    fc.constantFrom('', 'a', 'почта', 'x'.repeat(9_000)),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
  )
  const step = fc.record({ text, isTaken: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const texts = new SharedTexts(new ByteBlocks(1 << 24))
      const model = new Map<string, { number: number; uses: number }>()
      for (const { text: each, isTaken } of steps) {
        const known = model.get(each)
        if (isTaken) {
          const number = texts.take(each)!
          if (known) assert.equal(number, known.number)
          model.set(each, { number, uses: (known?.uses ?? 0) + 1 })
        } else if (known) {
          texts.giveBack(known.number)
          if (known.uses === 1) model.delete(each)
          else model.set(each, { ...known, uses: known.uses - 1 })
        }
        for (const [kept, { number }] of model) assert.equal(texts.get(number), kept)
        assert.equal(new Set([...model.values()].map(({ number }) => number)).size, model.size)
      }
    }),
  )
})

test('SharedTexts has its room back when all were given back', () => {
  const texts = new SharedTexts(new ByteBlocks(1 << 20))
  for (let round = 0; round < 5; round++) {
    const numbers = Array.from({ length: 900 }, (_, index) => texts.take(`${round} ${index} ${'x'.repeat(1_000)}`))
    assert.ok(!numbers.includes(undefined))
    assert.equal(texts.take('y'.repeat(1 << 20)), undefined)
    for (const number of numbers) texts.giveBack(number!)
  }
})
