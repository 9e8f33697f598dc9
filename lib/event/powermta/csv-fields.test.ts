import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { csvFields } from './csv-fields.ts'

test('csvFields reads what a writer by RFC 4180 writes', () => {
  const field = fc.string({ unit: 'binary-ascii' }).filter(text => !/[\r\n]/.test(text))
  fc.assert(
    fc.property(fc.array(field, { minLength: 1 }), fields => {
      const line = fields.map(text => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)).join(',')
      assert.deepEqual(csvFields(line), fields)
    }),
  )
})

test('csvFields takes no line whose quotes are not in order', () => {
  for (const line of ['a,"b', '"a"b,c', '"a""']) assert.equal(csvFields(line), undefined, line)
})
