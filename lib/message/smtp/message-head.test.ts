import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import { messageHead } from './message-head.ts'

describe('messageHead', () => {
  test('ends at the empty line, wherever the message is cut', () => {
    const message = Buffer.from('Subject: x\r\nDate: y\r\n\r\nMessage-ID: <z@d.test>\r\n')
    for (let cut = 0; cut < message.length; cut++) {
      const head = messageHead([message.subarray(0, cut), message.subarray(cut)])
      assert.deepEqual(
        head?.fields.map(({ name }) => name),
        ['subject', 'date'],
      )
    }
  })

  test('a message that is a header only', () => {
    assert.equal(messageHead([Buffer.from('Subject: x\r\n')])?.get('subject'), 'x')
    assert.deepEqual(messageHead([])?.fields, [])
  })

  test('a header without end is joined once, and no further than the limit', t => {
    const concat = t.mock.method(Buffer, 'concat')
    const pieces = Array.from({ length: 100_000 }, () => Buffer.from('x: y\r\n'))
    assert.equal(messageHead(pieces), undefined)
    assert.equal(concat.mock.callCount(), 1)
    assert.ok(concat.mock.calls[0]!.arguments[0].length < 50_000)
  })
})
