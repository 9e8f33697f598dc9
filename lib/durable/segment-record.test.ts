import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { decodeRecord, encodeRecord, payloadBytesMax, recordHeaderBytes } from './segment-record.ts'

const record = fc.record({
  seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  payload: fc.uint8Array({ minLength: 1, maxLength: 300 }),
})

function encoded({ seq, payload }: { seq: number; payload: Uint8Array }): Buffer {
  const bytes = Buffer.alloc(recordHeaderBytes + payload.length)
  assert.equal(encodeRecord(bytes, 0, seq, payload), bytes.length)
  return bytes
}

describe('decodeRecord', () => {
  it('gives back what encodeRecord wrote', () => {
    fc.assert(
      fc.property(record, each => {
        assert.deepEqual(decodeRecord(encoded(each), 0, each.seq), Buffer.from(each.payload))
      }),
    )
  })

  it('has the layout of docs/durable-log.md', () => {
    const bytes = encoded({ seq: 258, payload: Buffer.from('123456789') })
    assert.equal(bytes.toString('hex'), `00000009${bytes.toString('hex', 4, 8)}0000000000000102313233343536373839`)
  })

  it('wants more of every beginning', () => {
    const bytes = encoded({ seq: 7, payload: Buffer.from('payload') })
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(decodeRecord(bytes.subarray(0, length), 0, 7), 'more')
    }
  })

  it('never gives a payload that was not written, whatever bit is wrong', () => {
    const bytes = encoded({ seq: 2 ** 40 + 7, payload: Buffer.from('payload') })
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      assert.equal(Buffer.isBuffer(decodeRecord(flipped, 0, 2 ** 40 + 7)), false, `bit ${bit}`)
    }
  })

  it('takes a wrong sequence, no length and a length beyond the limit for damage', () => {
    const bytes = encoded({ seq: 7, payload: Buffer.from('payload') })
    assert.equal(decodeRecord(bytes, 0, 8), 'damaged')
    assert.equal(decodeRecord(Buffer.alloc(64), 0, 1), 'damaged')
    bytes.writeUInt32BE(payloadBytesMax + 1, 0)
    assert.equal(decodeRecord(bytes, 0, 7), 'damaged')
  })
})
