import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { formatReply, ReplyReader, replyBytesMax, type Reply } from './reply.ts'

const replies = fc.record(
  {
    code: fc.integer({ min: 200, max: 599 }),
    lines: fc.array(fc.string({ unit: fc.constantFrom('a', ' ', '-', '2', '\u00e4'), maxLength: 8 }), {
      minLength: 1,
      maxLength: 4,
    }),
  },
  { noNullPrototype: true },
)

describe('ReplyReader', () => {
  test('reads what formatReply writes, in any chunking', () => {
    fc.assert(
      fc.property(fc.array(replies, { maxLength: 5 }), fc.integer({ min: 1, max: 9 }), (sent, bytes) => {
        const wire = Buffer.from(sent.map(formatReply).join(''), 'latin1')
        const reader = new ReplyReader()
        const read: Reply[] = []
        for (let at = 0; at < wire.length; at += bytes) read.push(...reader.read(wire.subarray(at, at + bytes)))
        assert.deepEqual(read, sent)
        assert.ok(reader.idle)
      }),
    )
  })

  test('takes a code without text, and lines that end with LF only', () => {
    assert.deepEqual(new ReplyReader().read(Buffer.from('250\r\n354 go\n')), [
      { code: 250, lines: [''] },
      { code: 354, lines: ['go'] },
    ])
  })

  test('control characters do not pass', () => {
    assert.deepEqual(new ReplyReader().read(Buffer.from('250 a\r\0b\r\n')), [{ code: 250, lines: ['a  b'] }])
  })

  for (const [what, text] of Object.entries({
    'no code': 'HTTP/1.1 400 Bad Request\r\n',
    'a code that is none': '999 x\r\n',
    'a code that changes': '250-a\r\n251 b\r\n',
    'another separator': '250:a\r\n',
    'more than the limit': `250 ${'a'.repeat(replyBytesMax)}`,
    'lines without end': '250-aaaaaaaaaa\r\n'.repeat(replyBytesMax / 10),
  })) {
    test(`refuses ${what}`, () => {
      assert.throws(() => new ReplyReader().read(Buffer.from(text)))
    })
  }
})
