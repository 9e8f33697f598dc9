import assert from 'node:assert/strict'
import { it } from 'node:test'
import { nearWord } from './near-word.ts'

it('is what was probably meant, and nothing where nothing is near', () => {
  const words = ['log-path', 'state-dir', 'endpoint']
  assert.equal(nearWord('logpath', words), 'log-path')
  assert.equal(nearWord('endpiont', words), 'endpoint')
  assert.equal(nearWord('colour', words), undefined)
  assert.equal(nearWord('', words), undefined)
})
