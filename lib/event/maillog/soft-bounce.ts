/**
 * Bounces that may be well another day. Postfix calls every 5xx a bounce; with `--bounce-class table` those that this table
 * knows are reported as soft: the mailbox is full or a quota used up, too much came at once, or the server greylists.
 *
 * Enhanced codes (RFC 3463) first, for they are what a server means; then words, for many servers say 5.7.1 or 5.0.0 to
 * everything.
 */
import type { Outcome } from './outcome.ts'

/** RFC 3463 §3 and the registry of enhanced codes. */
const softCodes: Readonly<Record<string, string>> = {
  'X.2.2': 'mailbox full',
  'X.3.1': 'mail system full',
  'X.4.5': 'mail system congestion',
  'X.7.28': 'mail flood detected',
}

const softWords: readonly (readonly [RegExp, string])[] = [
  [/mailbox (?:is )?full|mailbox .{0,40}\bfull\b|inbox (?:is )?full|full mailbox/i, 'mailbox full'],
  [/over ?quota|quota (?:is )?(?:exceeded|full|reached)|exceed\w* .{0,30}quota|out of storage/i, 'quota'],
  [
    /(?:insufficient|not enough) (?:system )?(?:storage|disk space)|mailbox size limit|storage (?:allocation|limit)/i,
    'quota',
  ],
  [/gr[ea]ylist/i, 'greylisting'],
  [/rate.?limit|too many (?:messages|connections|recipients this hour|emails)|sending rate|unusual rate/i, 'rate'],
  [/try (?:again|later)|temporar(?:y|ily)/i, 'temporary'],
]

/** Why a bounce is soft; undefined when it is not. */
export function softBounceReason(dsn: string, description: string): string | undefined {
  const byCode = softCodes[`X${dsn.slice(dsn.indexOf('.'))}`]
  if (byCode !== undefined) return byCode
  return softWords.find(([words]) => words.test(description))?.[1]
}

/** The outcome as the chosen way of naming bounces has it. */
export function bouncedOrSoft(outcome: Outcome, by: 'postfix' | 'table'): Outcome {
  if (by === 'postfix' || outcome.type !== 'bounced') return outcome
  return softBounceReason(outcome.log.dsn, outcome.description) === undefined
    ? outcome
    : { ...outcome, type: 'soft_bounced' }
}
