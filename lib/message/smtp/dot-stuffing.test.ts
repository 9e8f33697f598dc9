import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { DataDecoder } from './data-decoder.ts'
import { DotStuffer } from './dot-stuffing.ts'

function stuff(pieces: readonly string[]): string {
  const stuffer = new DotStuffer()
  const out = pieces.flatMap(piece => stuffer.stuff(Buffer.from(piece, 'latin1')))
  return Buffer.concat([...out, stuffer.end()]).toString('latin1')
}

describe('DotStuffer', () => {
  test('what it sends is read back as it was, however it is cut', () => {
    const lines = fc.array(fc.constantFrom('', '.', '..', '.a', 'a.', 'a'), { maxLength: 10 })
    fc.assert(
      fc.property(lines, fc.array(fc.nat(60), { maxLength: 6 }), (lines, cuts) => {
        const message = lines.map(line => `${line}\r\n`).join('')
        const places = [...cuts.map(cut => cut % (message.length + 1)), message.length].toSorted((a, b) => a - b)
        const pieces = places.map((to, at) => message.slice(places[at - 1] ?? 0, to))
        const { content, rest } = new DataDecoder().decode(Buffer.from(stuff(pieces), 'latin1'))
        assert.equal(Buffer.concat([...content]).toString('latin1'), message)
        assert.equal(rest?.length, 0)
      }),
      { numRuns: 2000 },
    )
  })

  test('gives the last line its end where it has none', () => {
    assert.equal(stuff(['a']), 'a\r\n.\r\n')
    assert.equal(stuff(['a\r']), 'a\r\n.\r\n')
    assert.equal(stuff([]), '.\r\n')
  })
})
