import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTime } from './time.ts'

test('readTime takes Unix seconds, milliseconds and RFC 3339 for the same moment', () => {
  const moment = Date.parse('2026-02-19T12:00:00.250Z')
  assert.equal(readTime('1771502400.25'), moment)
  assert.equal(readTime('1771502400250'), moment)
  assert.equal(readTime('2026-02-19T12:00:00.250Z'), moment)
})

test('readTime takes an offset whose plus sign the URL turned into a space', () => {
  assert.equal(readTime('2026-02-19T14:00:00 02:00'), Date.parse('2026-02-19T12:00:00Z'))
})

for (const text of ['', 'yesterday', '-5', '1e9', '12:00', undefined, ['1', '2'], '9'.repeat(30)]) {
  test(`readTime refuses ${JSON.stringify(text)}`, () => assert.equal(readTime(text), undefined))
}
