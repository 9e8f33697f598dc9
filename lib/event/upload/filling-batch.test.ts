import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { FillingBatch } from './filling-batch.ts'

test('FillingBatch never exceeds its size, loses nothing and keeps the order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), fc.array(fc.nat(200)), fc.integer({ min: 1, max: 100 }), (sizes, kept, max) => {
      const batch = new FillingBatch<{ bytes: number; keptBytes: number; n: number }>(max, 1000)
      const batches = sizes.flatMap((bytes, n) => {
        const full = batch.add({ bytes, keptBytes: kept[n] ?? 0, n }, 0)
        return full ? [full] : []
      })
      batches.push(...batch.drain())
      assert.deepEqual(
        batches.flat().map(item => item.n),
        sizes.map((_, n) => n),
      )
      for (const items of batches) {
        const bytes = items.reduce((sum, item) => sum + item.bytes + 1, 0)
        const keptBytes = items.reduce((sum, item) => sum + item.keptBytes, 0)
        assert.ok((bytes <= max && keptBytes <= 3 * max) || items.length === 1)
      }
    }),
  )
})

test('FillingBatch is due when its first event is old enough, however many follow', () => {
  const batch = new FillingBatch(1e6, 30_000)
  assert.equal(batch.dueMs(0), Infinity)
  batch.add({ bytes: 1, keptBytes: 1 }, 1_000)
  for (let at = 1_000; at < 31_000; at += 100) batch.add({ bytes: 1, keptBytes: 1 }, at)
  assert.equal(batch.dueMs(30_999), 1)
  assert.equal(batch.dueMs(31_000), 0)
  assert.equal(batch.drain()[0]?.length, 301)
  assert.equal(batch.dueMs(31_000), Infinity)
})
