import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Traces, type Seen } from './traces.ts'

test('Traces knows a repeat by message and link', () => {
  const traces = new Traces()
  const note = (message: string, link: number) => traces.note(message, link, true, 0, false).repeat
  assert.equal(note('1', 7), false)
  assert.equal(note('1', 7), true)
  assert.equal(note('2', 7), false)
  assert.equal(note('1', 8), false)
  assert.equal(note('1', 8), true)
})

test('Traces sees clicks faster than a human', () => {
  const clicks = (...times: number[]) => {
    const traces = new Traces()
    return times.map((at, link) => traces.note('1', link, true, at, false).burst)
  }
  assert.deepEqual(clicks(0, 1000), [false, true])
  assert.deepEqual(clicks(0, 1001), [false, false])
  assert.deepEqual(clicks(0, 2000, 4000), [false, false, true])
  assert.deepEqual(clicks(0, 2501, 5002), [false, false, false])
})

test('Traces takes the same link twice, and pixels, for no burst', () => {
  const traces = new Traces()
  for (const at of [0, 10, 20]) assert.equal(traces.note('1', 1, true, at, false).burst, false)
  for (const at of [0, 10, 20]) assert.equal(traces.note('1', at, false, at, false).burst, false)
})

test('Traces remembers HEAD and trap for their time', () => {
  const traces = new Traces()
  const note = (at: number, trap = false) => traces.note('1', 1, true, at, trap)
  assert.equal(note(0).afterHead, false)
  traces.noteHead('1', 0)
  assert.equal(note(10_000).afterHead, true)
  assert.equal(note(10_001).afterHead, false)
  assert.equal(note(20_000).afterTrap, false)
  assert.equal(note(20_000, true).afterTrap, true)
  assert.equal(note(30_000).afterTrap, true)
  assert.equal(note(30_001).afterTrap, false)
})

test('Traces takes nobody for a machine because the clock was set back', () => {
  const traces = new Traces()
  const hour = 3_600_000
  traces.noteHead('1', hour)
  traces.note('1', 1, true, hour, true)
  const { afterHead, afterTrap, burst } = traces.note('1', 2, true, 0, false)
  assert.deepEqual({ afterHead, afterTrap, burst }, { afterHead: false, afterTrap: false, burst: false })
})

test('Traces remembers as many links as it may hold messages at least, and no more than twice those', () => {
  const traces = new Traces(20)
  const repeat = (message: number) => traces.note(String(message), 1, false, 0, false).repeat
  for (let message = 0; message < 1000; message++) {
    assert.equal(repeat(message), false)
    for (let back = 0; back < Math.min(message, 19); back++) assert.equal(repeat(message - back), true)
  }
  const known = Array.from({ length: 1000 }, (_, back) => 999 - back).filter(repeat)
  assert.ok(known.length >= 20 && known.length <= 40, `${known.length} are known`)
})

test('Traces remembers the HEAD requests of half as many messages as it may at least, and no more than those', () => {
  const traces = new Traces(20)
  for (let message = 0; message < 1000; message++) traces.noteHead(String(message), 0)
  const known = Array.from({ length: 1000 }, (_, back) => 999 - back).filter(
    message => traces.note(String(message), 1, false, 0, false).afterHead,
  )
  assert.ok(known.length >= 10 && known.length <= 20, `${known.length} are known`)
})

/** What was asked for, kept in full. */
interface Asked {
  readonly message: string
  readonly link: number
  readonly how: 'head' | 'pixel' | 'click' | 'trap'
  readonly at: number
}

function seenBefore(history: readonly Asked[], now: Asked): Seen {
  const ofMessage = [...history, now].filter(({ message }) => message === now.message)
  const before = ofMessage.slice(0, -1)
  const isClick = ({ how }: Asked) => how === 'click' || how === 'trap'
  const linksWithin = (ms: number) =>
    new Set(ofMessage.filter(asked => isClick(asked) && now.at - asked.at <= ms).map(({ link }) => link)).size
  return {
    repeat: before.some(({ how, link }) => how !== 'head' && link === now.link),
    burst: isClick(now) && (linksWithin(1000) >= 2 || linksWithin(5000) >= 3),
    afterHead: before.some(({ how, at }) => how === 'head' && now.at - at <= 10_000),
    afterTrap: ofMessage.some(({ how, at }) => how === 'trap' && now.at - at <= 10_000),
  }
}

test('Traces says what the whole history says, as long as that is not too long', () => {
  const step = fc.record({
    message: fc.constantFrom('00000123456789abcdef', '00000123456789abcdee', 'other'),
    link: fc.integer({ min: -2, max: 3 }),
    how: fc.constantFrom('head', 'pixel', 'click', 'click', 'click', 'trap'),
    later: fc.constantFrom(0, 1, 499, 500, 501, 1000, 2500, 4000, 9000),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const traces = new Traces(100)
      const history: Asked[] = []
      let at = 1_800_000_000_000
      for (const { later, ...step } of steps) {
        const asked: Asked = { ...step, at: (at += later) }
        const { message, link, how } = asked
        if (how === 'head') traces.noteHead(message, at)
        else {
          const seen = traces.note(message, link, how !== 'pixel', at, how === 'trap')
          assert.deepEqual(seen, seenBefore(history, asked))
        }
        history.push(asked)
      }
    }),
    { numRuns: 500 },
  )
})
