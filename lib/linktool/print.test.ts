import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fields, printable, table } from './print.ts'

test('printable shows control and formatting characters as dots, and leaves the rest', () => {
  assert.equal(printable('a\u001B[31mb\r\nc\u202Ed\u0085e'), 'a·[31mb··c·d·e')
  assert.equal(printable('größer 日本 😀'), 'größer 日本 😀')
})

test('table makes columns as wide as their widest cell, without blanks at the ends of lines', () => {
  assert.equal(
    table(
      ['A', 'LONG', 'C'],
      [
        ['first', 'x', ''],
        ['b', 'y', 'z'],
      ],
    ),
    'A      LONG  C\nfirst  x\nb      y     z',
  )
})

test('fields leaves out what has no value and makes the rest printable', () => {
  assert.equal(fields({ one: 'a\tb', two: undefined, three: 'c' }), 'one    a·b\nthree  c')
})
