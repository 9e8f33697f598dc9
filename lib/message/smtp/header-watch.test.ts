import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { HeaderWatch } from './header-watch.ts'

describe('HeaderWatch', () => {
  test('counts Received fields of the header, in any chunking', () => {
    const message = Buffer.from(
      'Received: from a\r\n\tby b; Received: no\r\nX-Received: no\r\nRECEIVED : yes\r\nSubject: x\r\nreceived:\r\n\r\nReceived: no\r\n',
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: message.length }), bytes => {
        const watch = new HeaderWatch()
        for (let at = 0; at < message.length; at += bytes) watch.read(message.subarray(at, at + bytes))
        assert.equal(watch.received, 3)
      }),
    )
  })

  test('a message without a header', () => {
    const watch = new HeaderWatch()
    watch.read(Buffer.from('\r\nReceived: no\r\n'))
    assert.equal(watch.received, 0)
  })
})
