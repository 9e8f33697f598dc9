/**
 * Bounces that may be well another day. Postfix calls every 5xx a bounce; with `--bounce-class table` those that this table
 * knows are reported as soft: the mailbox is full or a quota used up, too much came at once, or the server greylists.
 *
 * Enhanced codes (RFC 3463) first, for they are what a server means; then words, for many servers say 5.7.1 or 5.0.0 to
 * everything. Words count for nothing where the code says that there is no such address, or that the message is too large.
 */
import type { Outcome } from './outcome.ts'

/** RFC 3463 §3, the registry of enhanced codes, and Exchange Online's own (x.2.121, x.2.122: too many messages an hour). */
const softCodes: Readonly<Record<string, string>> = {
  'X.2.2': 'mailbox full',
  'X.3.1': 'mail system full',
  'X.4.5': 'mail system congestion',
  'X.7.28': 'mail flood detected',
  'X.2.121': 'rate',
  'X.2.122': 'rate',
}

/** Bad or moved address, no such domain, null MX; message too large. */
const hardCodes: ReadonlySet<string> = new Set(['X.1.1', 'X.1.2', 'X.1.3', 'X.1.6', 'X.1.10', 'X.3.4'])

const softWords: readonly (readonly [RegExp, string])[] = [
  [/\b(?:mailbox|inbox|maildir|mailfolder)\b.{0,40}\bfull\b|\bfull (?:mailbox|inbox)/i, 'mailbox full'],
  [
    /over ?quota|over the allowed quota|overdrawn .{0,30}quota|quota (?:is )?(?:exceeded|full|reached)|exceed\w* .{0,30}quota|out of storage|QuotaExceeded/i,
    'quota',
  ],
  [
    /(?:insufficient|not enough) (?:system )?(?:storage|disk space)|mailbox size limit|exceeded (?:mailbox|storage) (?:limit|allocation)/i,
    'quota',
  ],
  [/gr[ea]y-?list/i, 'greylisting'],
  [
    /rate.?limit|too many (?:messages|connections|recipients this hour|emails)|sending rate|unusual rate|at a rate that|sending limit/i,
    'rate',
  ],
  [/try (?:again|later)|temporar(?:y|ily)/i, 'temporary'],
]

/** Why a bounce is soft; undefined when it is not. */
export function softBounceReason(dsn: string, description: string): string | undefined {
  const code = `X${dsn.slice(dsn.indexOf('.'))}`
  const byCode = softCodes[code]
  if (byCode !== undefined || hardCodes.has(code)) return byCode
  return softWords.find(([words]) => words.test(description))?.[1]
}

/** The outcome as the chosen way of naming bounces has it. */
export function bouncedOrSoft(outcome: Outcome, by: 'postfix' | 'table'): Outcome {
  if (by === 'postfix' || outcome.type !== 'bounced') return outcome
  return softBounceReason(outcome.log.dsn, outcome.description) === undefined
    ? outcome
    : { ...outcome, type: 'soft_bounced' }
}
