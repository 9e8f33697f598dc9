import assert from 'node:assert/strict'
import { it } from 'node:test'
import { appendedBy, makeAppend } from './append-command.ts'
import { Slabs } from './slabs.ts'

/** A request as Redis reads it (RESP2): an array of bulk strings, and nothing after it. */
function readRequest(bytes: Buffer): string[] {
  let at = 0
  const line = (mark: string) => {
    const end = bytes.indexOf('\r\n', at)
    const text = bytes.toString('latin1', at, end)
    assert.match(text, new RegExp(`^\\${mark}(0|[1-9]\\d*)$`))
    at = end + 2
    return Number(text.slice(1))
  }
  const words = Array.from({ length: line('*') }, () => {
    const length = line('$')
    const word = bytes.toString('utf8', at, at + length)
    assert.equal(bytes.toString('latin1', at + length, at + length + 2), '\r\n')
    at += length + 2
    return word
  })
  assert.equal(at, bytes.length)
  return words
}

it('is a request that Redis understands, and says again what it appends', () => {
  const slabs = new Slabs(1e6)
  const groups = [
    ['{"id":"1"}'],
    ['', '\r\n$3\r\nabc', 'é€😀', '{"url":"https://example.test/\\r\\n"}', 'x'.repeat(100_000)],
    Array.from({ length: 1_000 }, (_, n) => `{"id":"${n}","userAgent":"Blå ${'ü'.repeat(n % 50)}"}`),
  ]
  const made = groups.map(entries => makeAppend(slabs, 'mta:{3}:events', entries))
  for (const [index, entries] of groups.entries()) {
    const { slab, start, end } = made[index]!
    const [name, script, keys, stream, ...args] = readRequest(slab.bytes.subarray(start, end))
    assert.deepEqual([name, keys, stream], ['EVAL', '1', 'mta:{3}:events'])
    assert.match(script!, /'XADD', KEYS\[1\]/)
    assert.deepEqual(args, entries)
    assert.deepEqual(appendedBy(made[index]!), entries)
  }
})
