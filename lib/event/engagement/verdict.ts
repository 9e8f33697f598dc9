/**
 * Who asked, judged from what the request shows. A verdict is recorded with the event and never changes the answer: a
 * human who was taken for a machine arrives all the same.
 */
import type { EngagementType, Verdict } from '../event.ts'
import { messageIdTime } from '../../record/message-id.ts'
import { isPixel } from './pixel-action.ts'
import type { Seen } from './traces.ts'
import type { UserAgent } from './user-agent.ts'

/** Everything that the rules look at. */
export interface Circumstances {
  readonly action: EngagementType
  readonly messageId: string
  /** When it was asked for, Unix ms. */
  readonly at: number
  readonly userAgent: UserAgent
  readonly seen: Seen
  /** The link stands in the message as a trap: no human sees it. */
  readonly trap: boolean
  /** Whether the address is one of Apple's relays; undefined when their list is not at hand. */
  readonly fromAppleRelay: boolean | undefined
  /** A click this soon after its message was stamped is a machine's, ms; 0 turns the rule off. */
  readonly earlyClickMs: number
}

type Finding = 'prefetched' | 'proxy' | 'bot'

interface Rule {
  /** What the event says as `reason`. */
  readonly reason: string
  readonly finding: Finding
  readonly applies: (about: Circumstances) => boolean
}

const machine = (about: Circumstances) => about.userAgent.machine

/** In order; the first that applies decides. */
const verdictRules: readonly Rule[] = [
  { reason: 'trap', finding: 'bot', applies: about => about.trap },
  { reason: 'after-trap', finding: 'bot', applies: about => about.seen.afterTrap && !isPixel(about.action) },
  {
    reason: 'apple-mpp',
    finding: 'prefetched',
    applies: about => machine(about) === 'apple-mpp' && isPixel(about.action) && about.fromAppleRelay !== false,
  },
  {
    reason: 'gmail-prefetch',
    finding: 'prefetched',
    applies: about => machine(about) === 'gmail-prefetch' && isPixel(about.action),
  },
  { reason: 'gmail-proxy', finding: 'proxy', applies: about => machine(about) === 'gmail-proxy' },
  { reason: 'yahoo-proxy', finding: 'proxy', applies: about => machine(about) === 'yahoo-proxy' },
  { reason: 'no-user-agent', finding: 'bot', applies: about => machine(about) === 'no-user-agent' },
  { reason: 'known-bot', finding: 'bot', applies: about => machine(about) !== undefined },
  { reason: 'after-head', finding: 'bot', applies: about => about.seen.afterHead },
  { reason: 'early-click', finding: 'bot', applies: isEarlyClick },
  { reason: 'burst', finding: 'bot', applies: about => about.seen.burst },
]

/** Clocks differ: a message from the future says nothing. */
function isEarlyClick(about: Circumstances): boolean {
  if (isPixel(about.action) || about.earlyClickMs === 0) return false
  const stamped = messageIdTime(about.messageId)
  return stamped !== undefined && about.at >= stamped && about.at - stamped < about.earlyClickMs
}

/** Undefined when there is nothing to say. */
export function judge(about: Circumstances): Verdict | undefined {
  const rule = verdictRules.find(({ applies }) => applies(about))
  const { device, os } = about.userAgent
  if (rule === undefined && !about.seen.repeat && device === undefined && os === undefined) return undefined
  return {
    ...(rule?.finding === 'prefetched' && { prefetched: true as const }),
    ...(rule?.finding === 'proxy' && { proxy: true as const }),
    ...(rule?.finding === 'bot' && { bot: true as const }),
    ...(rule && { reason: rule.reason }),
    ...(about.seen.repeat && { repeat: true as const }),
    ...(device !== undefined && { device }),
    ...(os !== undefined && { os }),
  }
}
