import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { DataDecoder } from './data-decoder.ts'
import { DotStuffer } from './dot-stuffing.ts'
import { joinSmall, PieceList } from './piece-list.ts'

describe('pieces stay few', () => {
  test('and hold what was put, in order', () => {
    const spans = fc.array(fc.tuple(fc.nat(100), fc.nat(100)), { maxLength: 60 })
    const source = Buffer.from(Array.from({ length: 100 }, (_, at) => at))
    fc.assert(
      fc.property(spans, spans => {
        const list = new PieceList(100 * spans.length)
        for (const [start, end] of spans) list.put(source, start, end)
        const expected = spans.map(([start, end]) => source.subarray(start, Math.max(start, end)))
        assert.deepEqual(Buffer.concat(list.pieces()), Buffer.concat(expected))
        assert.ok(list.pieces().length <= 8)
      }),
    )
  })

  test('of a chunk whose every line ends in a bare LF', () => {
    for (const text of ['a\n', '\n', '.\n', '.\r\n\n', '\r', '.a\n', `${'a'.repeat(40)}\n`]) {
      const decoder = new DataDecoder()
      // What goes before keeps the end of a message from being found.
      const chunk = Buffer.from(`a\n${text.repeat(65_536 / text.length)}`)
      const content = [...decoder.decode(chunk).content, ...decoder.decode(chunk).content]
      assert.ok(content.length <= 16, `${JSON.stringify(text)}: ${content.length} pieces`)
      const held = content.reduce((bytes, piece) => bytes + piece.buffer.byteLength, 0)
      assert.ok(held <= 2 * (chunk.length * 2 + 2), `${JSON.stringify(text)}: ${held} bytes`)
    }
  })

  test('of a chunk whose every line begins with a dot', () => {
    for (const text of ['.\r\n', '.\n', '.', `.${'a'.repeat(40)}\r\n`]) {
      const chunk = Buffer.from(text.repeat(65_536 / text.length))
      const pieces = new DotStuffer().stuff(chunk)
      assert.ok(pieces.length <= 8, `${JSON.stringify(text)}: ${pieces.length} pieces`)
      const stuffed = chunk.toString('latin1').replaceAll(/(^|\n)\./g, '$1..')
      assert.equal(Buffer.concat(pieces).toString('latin1'), stuffed)
    }
  })

  test('on their way to the upstream', () => {
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(100_000)), { maxLength: 40 })
    fc.assert(
      fc.property(sizes, sizes => {
        const pieces = sizes.map((size, at) => Buffer.alloc(size, at))
        const joined = joinSmall(pieces)
        assert.deepEqual(Buffer.concat(joined), Buffer.concat(pieces))
        for (const [at, piece] of joined.entries()) {
          const next = joined[at + 1]
          if (next) assert.ok(piece.length >= 8192 || next.length >= 8192 || piece.length + next.length > 65_536)
        }
      }),
      { numRuns: 50 },
    )
    assert.equal(joinSmall(Array.from({ length: 100_000 }, () => Buffer.from('a'))).length, 2)
  })
})
