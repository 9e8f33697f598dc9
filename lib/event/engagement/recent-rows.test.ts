import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { RecentRows } from './recent-rows.ts'

/** What `RecentRows` is to do, in two maps. */
class Model {
  young = new Map<string, number>()
  old = new Map<string, number>()
  readonly #generationMax: number

  constructor(rowsMax: number) {
    this.#generationMax = rowsMax / 2
  }

  find(key: string): number | undefined {
    const value = this.young.get(key)
    if (value !== undefined) return value
    const old = this.old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: number): void {
    if (!this.young.has(key) && this.young.size >= this.#generationMax) {
      this.old = this.young
      this.young = new Map()
    }
    this.young.set(key, value)
  }
}

test('RecentRows remembers as two maps do, whatever is looked for and written', () => {
  // Few numbers, so that they meet in the same slots; 0 in either half is a number as any other.
  const half = fc.integer({ min: -2, max: 3 })
  const step = fc.tuple(half, half, fc.boolean(), fc.integer())
  const max = fc.constantFrom(2, 4, 10, 16)
  fc.assert(
    fc.property(max, fc.array(step, { maxLength: 200 }), (rowsMax, steps) => {
      const rows = new RecentRows(rowsMax, 2)
      const model = new Model(rowsMax)
      for (const [high, low, writes, value] of steps) {
        if (high === 0 && low === 0) continue
        const key = `${high} ${low}`
        let row = rows.find(high, low)
        assert.equal(row < 0 ? undefined : rows.values[row], model.find(key))
        if (!writes) continue
        if (row < 0) {
          row = rows.add(high, low)
          assert.deepEqual([rows.values[row], rows.values[row + 1]], [-Infinity, -Infinity])
        }
        rows.values[row] = value
        rows.values[row + 1] = -value
        model.set(key, value)
      }
    }),
    { numRuns: 500 },
  )
})
