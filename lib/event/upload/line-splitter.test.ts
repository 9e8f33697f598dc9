import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type Line, LineSplitter } from './line-splitter.ts'

function split(bytes: Buffer, chunkBytes: number, lineBytesMax = 1e6): Line[] {
  const splitter = new LineSplitter(lineBytesMax)
  const lines: Line[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    lines.push(...splitter.write(bytes.subarray(at, at + chunkBytes)))
  }
  return [...lines, ...splitter.end()]
}

const texts = (lines: readonly Line[]) => lines.map(({ bytes }) => bytes.toString())

test('LineSplitter cuts at LF and CRLF alone, in any chunking', () => {
  const bytes = Buffer.from('a\u2028b\u2029c\n\r\nd\re\u0085\v\f\r\n\nlast é')
  for (let chunkBytes = 1; chunkBytes <= bytes.length; chunkBytes++) {
    assert.deepEqual(texts(split(bytes, chunkBytes)), ['a\u2028b\u2029c', '', 'd\re\u0085\v\f', '', 'last é'])
  }
})

test('LineSplitter gives back every JSON text that was written a line', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.string({ unit: 'binary', maxLength: 9 }), fc.constantFrom('\u2028', '\r', '\n', '\u2029x\r\n')),
      ),
      fc.integer({ min: 1, max: 40 }),
      (values, chunkBytes) => {
        const bytes = Buffer.from(values.map(value => `${JSON.stringify(value)}\n`).join(''))
        assert.deepEqual(
          texts(split(bytes, chunkBytes)).map(text => JSON.parse(text) as unknown),
          values,
        )
      },
    ),
  )
})

test('LineSplitter holds no more of a line than its bound, and goes on with the next', () => {
  for (const chunkBytes of [1, 3, 100]) {
    const lines = split(Buffer.from('12345678\n1234\n12345\r\n12'), chunkBytes, 4)
    assert.deepEqual(
      lines.map(({ bytes, isWhole }) => [bytes.toString(), isWhole]),
      [
        ['1234', false],
        ['1234', true],
        ['1234', false],
        ['12', true],
      ],
    )
  }
})
