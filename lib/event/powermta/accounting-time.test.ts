import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountingTime } from './accounting-time.ts'

test('accountingTime reads both forms and nothing else', () => {
  assert.equal(accountingTime('1178807903'), 1_178_807_903_000)
  assert.equal(accountingTime('2016-05-29 01:10:51+0200'), Date.parse('2016-05-28T23:10:51Z'))
  assert.equal(accountingTime('2016-05-29 01:10:51-0330'), Date.parse('2016-05-29T04:40:51Z'))
  assert.equal(accountingTime('2016-05-29T01:10:51Z'), Date.parse('2016-05-29T01:10:51Z'))
  assert.equal(accountingTime('2016-05-29 01:10:51.123-03:30'), Date.parse('2016-05-29T04:40:51Z'))
  for (const bad of [
    '',
    '12',
    'yesterday',
    '2016-13-01 00:00:00+0000',
    '2016-05-29 25:00:00+0000',
    '2016-05-29 01:10:51',
  ]) {
    assert.equal(accountingTime(bad), undefined, bad)
  }
})
