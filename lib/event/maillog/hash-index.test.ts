import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HashIndex } from './hash-index.ts'

function valuesOf(index: HashIndex, hash: number): number[] {
  const values: number[] = []
  for (let place = index.first(hash); place !== -1; place = index.next(place, hash)) values.push(index.valueAt(place))
  return values.toSorted((a, b) => a - b)
}

test('HashIndex holds what was added and not removed, however much its hashes collide', () => {
  // Few hashes that share their lowest bits, at both ends of the table.
  const keys = [0, 1, 1023, 1024, 1025, 2047, 0xffff_ffff, 0xffff_fc00]
  const hash = fc.constantFrom(...keys)
  const step = fc.record({ hash, value: fc.integer({ min: 1, max: 9 }), add: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), steps => {
      const index = new HashIndex(value => hashes.get(value)!)
      const hashes = new Map<number, number>()
      const model = new Map<number, Set<number>>()
      for (const { hash: key, value: digit, add } of steps) {
        // A value has one hash.
        const value = 10 * (1 + keys.indexOf(key)) + digit
        hashes.set(value, key)
        const known = model.get(key) ?? new Set()
        model.set(key, known)
        if (add && !known.has(value)) index.add(value)
        if (!add) index.remove(value)
        if (add) known.add(value)
        else known.delete(value)
        for (const [each, values] of model)
          assert.deepEqual(
            valuesOf(index, each),
            [...values].toSorted((a, b) => a - b),
          )
      }
    }),
  )
})
test('HashIndex grows', () => {
  const hashOf = (value: number) => (value * 2_654_435_761) >>> 0
  const index = new HashIndex(hashOf)
  for (let value = 1; value <= 10_000; value++) index.add(value)
  for (let value = 1; value <= 10_000; value++) assert.deepEqual(valuesOf(index, hashOf(value)), [value])
})
