import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Verdict } from '../event.ts'
import { newMessageId } from '../../record/message-id.ts'
import { Traces, type Seen } from './traces.ts'
import { judge, type Circumstances } from './verdict.ts'

const stamped = 1_700_000_000_000
const unseen: Seen = { repeat: false, afterHead: false, afterTrap: false, burst: false }
const human: Circumstances = {
  action: 'click',
  messageId: newMessageId(stamped),
  at: stamped + 3_600_000,
  userAgent: { device: 'iPhone', os: 'iOS 17' },
  seen: unseen,
  trap: false,
  fromAppleRelay: undefined,
  earlyClickMs: 5000,
}
const humanSays = { device: 'iPhone', os: 'iOS 17' }

const cases: readonly [why: string, circumstances: Partial<Circumstances>, verdict: Verdict | undefined][] = [
  ['a human', {}, humanSays],
  ['nothing to say', { userAgent: {} }, undefined],
  ['a human again', { seen: { ...unseen, repeat: true } }, { ...humanSays, repeat: true }],
  [
    'Apple fetches ahead',
    { action: 'open', userAgent: { machine: 'apple-mpp' } },
    { prefetched: true, reason: 'apple-mpp' },
  ],
  [
    'Apple fetches ahead, from a relay of theirs',
    { action: 'initial_open', userAgent: { machine: 'apple-mpp' }, fromAppleRelay: true },
    { prefetched: true, reason: 'apple-mpp' },
  ],
  [
    'somebody with the same words',
    { action: 'open', userAgent: { machine: 'apple-mpp' }, fromAppleRelay: false },
    { bot: true, reason: 'known-bot' },
  ],
  ['Apple does not click ahead', { userAgent: { machine: 'apple-mpp' } }, { bot: true, reason: 'known-bot' }],
  [
    'Gmail fetches ahead',
    { action: 'amp_open', userAgent: { machine: 'gmail-prefetch' } },
    { prefetched: true, reason: 'gmail-prefetch' },
  ],
  ['Gmail shows it', { action: 'open', userAgent: { machine: 'gmail-proxy' } }, { proxy: true, reason: 'gmail-proxy' }],
  ['Yahoo shows it', { action: 'open', userAgent: { machine: 'yahoo-proxy' } }, { proxy: true, reason: 'yahoo-proxy' }],
  ['silence', { userAgent: { machine: 'no-user-agent' } }, { bot: true, reason: 'no-user-agent' }],
  ['a known machine', { userAgent: { machine: 'known-bot' } }, { bot: true, reason: 'known-bot' }],
  ['the trap', { trap: true }, { bot: true, reason: 'trap', ...humanSays }],
  ['after the trap', { seen: { ...unseen, afterTrap: true } }, { bot: true, reason: 'after-trap', ...humanSays }],
  ['opened after the trap', { action: 'open', seen: { ...unseen, afterTrap: true } }, humanSays],
  ['after HEAD', { seen: { ...unseen, afterHead: true } }, { bot: true, reason: 'after-head', ...humanSays }],
  ['many links at once', { seen: { ...unseen, burst: true } }, { bot: true, reason: 'burst', ...humanSays }],
  ['just before it is early', { at: stamped + 4999 }, { bot: true, reason: 'early-click', ...humanSays }],
  ['just after', { at: stamped + 5000 }, humanSays],
  ['at once', { at: stamped }, { bot: true, reason: 'early-click', ...humanSays }],
  ['before it was stamped: clocks differ', { at: stamped - 1 }, humanSays],
  ['an early open', { action: 'open', at: stamped + 1 }, humanSays],
  [
    'an early unsubscription',
    { action: 'link_unsubscribe', at: stamped },
    { bot: true, reason: 'early-click', ...humanSays },
  ],
  ['early, rule off', { at: stamped, earlyClickMs: 0 }, humanSays],
  ['early, an id that has no time', { messageId: '<1@example.com>', at: stamped }, humanSays],
]

for (const [why, circumstances, verdict] of cases) {
  test(`judge: ${why}`, () => assert.deepEqual(judge({ ...human, ...circumstances }), verdict))
}

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

test('Traces remembers half as many messages as it may at least, and no more than those', () => {
  const traces = new Traces(20)
  const repeat = (message: number) => traces.note(String(message), 1, false, 0, false).repeat
  for (let message = 0; message < 1000; message++) {
    assert.equal(repeat(message), false)
    for (let back = 0; back < Math.min(message, 9); back++) assert.equal(repeat(message - back), true)
  }
  const known = Array.from({ length: 1000 }, (_, back) => 999 - back).filter(repeat)
  assert.ok(known.length >= 10 && known.length <= 20, `${known.length} are known`)
})
