import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { csvFields } from '../powermta/csv-fields.ts'
import { csvRows } from './csv-rows.ts'

test('csvRows yields a row a record, also where parser and framer differ', () => {
  assert.deepEqual(csvRows([], true), [])
  assert.deepEqual(csvRows(['a,b', '"c\nd",""'], true), [
    ['a', 'b'],
    ['c\nd', ''],
  ])
  const odd = csvRows(['a\nb', 'c'], false)
  assert.deepEqual(odd, [undefined, ['c']])
})

test('csvRows and csvFields find the same fields', () => {
  const field = fc.string({ unit: fc.constantFrom('"', ',', ' ', 'a', 'é', "'") })
  fc.assert(
    fc.property(fc.array(fc.tuple(field, fc.boolean()), { minLength: 1 }), written => {
      const line = written
        .map(([text, quoted]) => (quoted || /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text))
        .join(',')
      fc.pre(line !== '')
      assert.deepEqual(csvRows([line], line.includes('"')), [csvFields(line)])
    }),
  )
})
