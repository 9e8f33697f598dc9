import assert from 'node:assert/strict'
import { it } from 'node:test'
import { sizeOf, Slabs, type Piece } from './slabs.ts'

const take = (slabs: Slabs, text: string) => {
  const piece = slabs.take(Buffer.byteLength(text))
  piece.slab.bytes.write(text, piece.start)
  return piece
}
const textOf = ({ slab, start, end }: Piece) => slab.bytes.toString('utf8', start, end)

it('gives every piece back as it was, whatever has been released', () => {
  const slabs = new Slabs(2e6)
  const taken: { text: string; piece: Piece }[] = []
  const seen = new Set<unknown>()
  for (let round = 0; round < 20_000; round++) {
    const text = `${round} ${'é€😀x'.repeat(round % 400)}`
    const piece = take(slabs, text)
    seen.add(piece.slab)
    assert.equal(sizeOf(piece), Buffer.byteLength(text))
    taken.push({ text, piece })
    // Now and then one out of turn.
    if (taken.length > 500) slabs.release(taken.splice(round % 7 === 0 ? 250 : 0, 1)[0]!.piece)
  }
  for (const { text, piece } of taken) assert.equal(textOf(piece), text)
  // 40 MB went through few slabs of 1 MB, for they were used again.
  assert.ok(seen.size <= 6, `${seen.size} slabs`)
})

it('never uses again what was not released', () => {
  const slabs = new Slabs(2e6)
  const first = take(slabs, 'first')
  for (let round = 0; round < 100; round++) {
    slabs.release(take(slabs, 'x'.repeat(300_000)))
    assert.equal(textOf(first), 'first')
  }
})

it('takes a piece that is larger than a slab, and no more memory than it needs', () => {
  const slabs = new Slabs(2e6)
  const large = '€'.repeat(2_000_000)
  const piece = take(slabs, large)
  assert.equal(textOf(piece), large)
  assert.equal(piece.slab.bytes.length, 6_000_000)
  slabs.release(piece)
  assert.equal(textOf(take(slabs, 'next')), 'next')
})

it('holds what a burst took for the next, no more than was said, and less and less while nothing is taken', () => {
  const slabs = new Slabs(5_000_000)
  const burst = (slabCount: number) => {
    const pieces = Array.from({ length: slabCount }, () => slabs.take(1 << 20))
    for (const piece of pieces) slabs.release(piece)
    return pieces.map(({ slab }) => slab)
  }
  const again = (before: readonly unknown[], now: readonly unknown[]) =>
    now.filter(slab => before.includes(slab)).length
  const held = burst(6)
  assert.equal(again(held, burst(6)), 6)
  const many = burst(20)
  assert.equal(again(many, burst(20)), 6)
  const left = burst(7)
  slabs.trim()
  slabs.trim()
  const latest = burst(7)
  assert.equal(again(left, latest), 5)
  for (let times = 0; times < 20; times++) slabs.trim()
  assert.equal(again(latest, burst(7)), 1)
})
