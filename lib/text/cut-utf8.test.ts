import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { cutUtf8 } from './cut-utf8.ts'

test('cutUtf8 yields whole characters that fit', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'ü', '€', '😀')), fc.integer({ min: 0, max: 80 }), (letters, max) => {
      const well = letters.join('')
      const prefix = cutUtf8(well, max)
      assert.ok(well.startsWith(prefix))
      assert.ok(Buffer.byteLength(prefix) <= max)
      assert.ok(Buffer.byteLength(well) <= max ? prefix === well : Buffer.byteLength(prefix) > max - 4)
    }),
  )
})
