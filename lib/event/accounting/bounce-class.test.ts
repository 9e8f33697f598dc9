import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bounceCategories } from '../powermta/bounce-category.ts'
import { bounceClass } from './bounce-class.ts'

test('bounceClass treats made-up categories as soft, and a delay without a telling one as transient', () => {
  assert.equal(bounceClass('bad-mailbox', false), 10)
  for (const category of ['own', 'none', 'other'] as const) {
    assert.equal(bounceClass(category, false), 1)
    assert.equal(bounceClass(category, true), 70)
  }
  for (const category of bounceCategories) assert.equal(typeof bounceClass(category, false), 'number', category)
})
