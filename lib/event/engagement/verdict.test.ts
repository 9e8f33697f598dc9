import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Verdict } from '../event.ts'
import { newMessageId } from '../../record/message-id.ts'
import type { Seen } from './traces.ts'
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
