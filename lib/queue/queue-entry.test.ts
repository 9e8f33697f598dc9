import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { readEntry } from './queue-entry.ts'

describe('readEntry', () => {
  it('gives the event and its text', () => {
    const event = { id: '1', type: 'open', messageId: 'm', at: 5, ip: '203.0.113.7' }
    const raw = JSON.stringify(event)
    assert.deepEqual(readEntry(3, ['5-0', ['e', raw]], true), {
      partition: 3,
      entryId: '5-0',
      event,
      raw,
      chars: raw.length,
      isRepeat: true,
    })
  })

  it('gives no event for whatever else stands there, and its text', () => {
    const texts = ['', 'null', '[]', '1', '"x"', '{}', '{"id":1,"type":"open","messageId":"m","at":5}', '{"id":"1"']
    for (const raw of texts) {
      const entry = readEntry(0, ['1-0', ['e', raw]], false)
      assert.equal(entry.event, undefined, raw)
      assert.equal(entry.raw, raw)
    }
    assert.equal(readEntry(0, ['1-0', ['x', 'y']], false).raw, 'x y')
    assert.equal(readEntry(0, ['1-0', null], false).event, undefined)
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), raw => void readEntry(0, ['1-0', ['e', raw]], false)))
  })
})
