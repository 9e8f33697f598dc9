import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bounceCategory } from './bounce-category.ts'

test('bounceCategory knows categories in any case, and which were made up', () => {
  assert.equal(bounceCategory('Bad-Mailbox '), 'bad-mailbox')
  assert.equal(bounceCategory('our-own-category'), 'own')
  assert.equal(bounceCategory('constructor'), 'own')
  assert.equal(bounceCategory(' '), 'none')
  assert.equal(bounceCategory('success'), 'none')
})
