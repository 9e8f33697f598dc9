import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AccountingColumns, isHeaderRow } from './accounting-columns.ts'

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
