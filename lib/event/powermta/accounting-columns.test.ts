import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AccountingColumns, columnsMax, headerFlaw, isHeaderRow } from './accounting-columns.ts'

test('isHeaderRow knows a header line anywhere, and no record for one', () => {
  assert.ok(isHeaderRow(['type', 'rcpt']))
  assert.ok(isHeaderRow(['#type', 'rcpt']))
  assert.ok(isHeaderRow([' Type ', 'x']))
  assert.ok(isHeaderRow(['\uFEFFtype', 'rcpt']), 'behind a byte order mark')
  assert.ok(isHeaderRow(['rcpt', 'type', 'orig']))
  assert.ok(!isHeaderRow(['d', 'type', 'rcpt']))
  assert.ok(!isHeaderRow(['', '']))
  assert.ok(!isHeaderRow([]))
})

test('of a column that is there twice the first value that is not empty counts', () => {
  const columns = new AccountingColumns(['type', 'rcpt', 'Rcpt'])
  assert.equal(columns.recipient(['d', '', 'b@example.net']), 'b@example.net')
  assert.equal(columns.recipient(['d', 'a@example.net', 'b@example.net']), 'a@example.net')
})

test('a row that is no record of its header has a flaw', () => {
  const columns = new AccountingColumns(['type', 'rcpt', 'rcpt', 'jobId'])
  assert.equal(columns.flaw(['d', 'a@b', '', 'j']), undefined)
  assert.equal(columns.flaw(['d', '', '', '']), undefined)
  assert.match(columns.flaw(['d', 'a@b', '']) ?? '', /3 fields/)
  assert.match(columns.flaw(['d', 'a@b', '', 'j', 'more']) ?? '', /5 fields/)
  assert.match(columns.flaw(['d', 'a\nb', '', 'j']) ?? '', /no address/)
  assert.match(columns.flaw(['d', 'a'.repeat(600), '', 'j']) ?? '', /no address/)
})

test('what names columns and is no header line is told from a record, with the reason', () => {
  const tooMany = ['type', ...Array.from({ length: columnsMax }, (_, i) => `header_x-${i}`)]
  assert.ok(!isHeaderRow(tooMany))
  assert.match(headerFlaw(tooMany) ?? '', /257 columns, 256 are the most/)
  // The beginning of a file whose lines end in CR alone.
  const ofMac = ['type', 'rcpt\rd', 'a@example.com\rd', 'b@example.com\r']
  assert.ok(!isHeaderRow(ofMac))
  assert.match(headerFlaw(ofMac) ?? '', /LF or CRLF/)
  for (const fine of [['type', 'rcpt'], ['type', 'rcpt\r'], ['d', 'type\r', 'rcpt'], []]) {
    assert.equal(headerFlaw(fine), undefined)
  }
})
