import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readJob, readSubaccount } from './message-facets.ts'

test('readSubaccount takes a number of at most ten digits and nothing else', () => {
  assert.equal(readSubaccount('0'), 0)
  assert.equal(readSubaccount(' 4294967295 '), 4_294_967_295)
  for (const text of ['', '-1', '1.5', '12345678901', '7 8', 'seven'])
    assert.equal(readSubaccount(text), undefined, text)
})

test('readJob cuts what is too long', () => {
  assert.equal(readJob(''), undefined)
  assert.equal(readJob('spring'), 'spring')
  assert.equal(readJob('x'.repeat(300)), 'x'.repeat(256))
})
