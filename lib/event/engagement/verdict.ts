/**
 * Who asked, judged from what the request shows. A verdict is recorded with the event and never changes the answer: a
 * human who was taken for a machine arrives all the same.
 */
import type { EngagementType, Verdict } from '../event.ts'
import { messageIdTime } from '../../record/message-id.ts'
import { isPixel } from './pixel-action.ts'
import type { Seen } from './traces.ts'
import type { UserAgent, UserAgentRule } from './user-agent.ts'
import type { Writable } from './writable.ts'

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

/** What a rule makes of a request, and its name: the event's `reason`. */
type Finding = Pick<Verdict, 'prefetched' | 'proxy' | 'bot'> & { readonly reason: string }

const trap: Finding = { bot: true, reason: 'trap' }
const afterTrap: Finding = { bot: true, reason: 'after-trap' }
const appleMpp: Finding = { prefetched: true, reason: 'apple-mpp' }
const gmailPrefetch: Finding = { prefetched: true, reason: 'gmail-prefetch' }
const gmailProxy: Finding = { proxy: true, reason: 'gmail-proxy' }
const yahooProxy: Finding = { proxy: true, reason: 'yahoo-proxy' }
const noUserAgent: Finding = { bot: true, reason: 'no-user-agent' }
const knownBot: Finding = { bot: true, reason: 'known-bot' }
const afterHead: Finding = { bot: true, reason: 'after-head' }
const earlyClick: Finding = { bot: true, reason: 'early-click' }
const burst: Finding = { bot: true, reason: 'burst' }

/** The first rule that applies, in the order of docs/tracker.md. */
function findingOf(about: Circumstances): Finding | undefined {
  const { seen } = about
  const { machine } = about.userAgent
  if (about.trap) return trap
  if (seen.afterTrap && !isPixel(about.action)) return afterTrap
  if (machine !== undefined) return findingOfMachine(machine, about)
  if (seen.afterHead) return afterHead
  if (isEarlyClick(about)) return earlyClick
  return seen.burst ? burst : undefined
}

/** What a User-Agent says by itself. A prefetch is one of an image: who says so and clicks is a machine that pretends. */
const ofMachine: Record<UserAgentRule, { readonly pixel: Finding; readonly link: Finding }> = {
  'apple-mpp': { pixel: appleMpp, link: knownBot },
  'gmail-prefetch': { pixel: gmailPrefetch, link: knownBot },
  'gmail-proxy': { pixel: gmailProxy, link: gmailProxy },
  'yahoo-proxy': { pixel: yahooProxy, link: yahooProxy },
  'no-user-agent': { pixel: noUserAgent, link: noUserAgent },
  'known-bot': { pixel: knownBot, link: knownBot },
}

function findingOfMachine(machine: UserAgentRule, { action, fromAppleRelay }: Circumstances): Finding {
  if (machine === 'apple-mpp' && fromAppleRelay === false) return knownBot
  return isPixel(action) ? ofMachine[machine].pixel : ofMachine[machine].link
}

/** Clocks differ: a message from the future says nothing. */
function isEarlyClick(about: Circumstances): boolean {
  if (isPixel(about.action) || about.earlyClickMs === 0) return false
  const stamped = messageIdTime(about.messageId)
  return stamped !== undefined && about.at >= stamped && about.at - stamped < about.earlyClickMs
}

/** Undefined when there is nothing to say. */
export function judge(about: Circumstances): Verdict | undefined {
  const finding = findingOf(about)
  const { device, os } = about.userAgent
  if (finding === undefined && !about.seen.repeat && device === undefined && os === undefined) return undefined
  const verdict: Writable<Verdict> = finding === undefined ? {} : { ...finding }
  if (about.seen.repeat) verdict.repeat = true
  if (device !== undefined) verdict.device = device
  if (os !== undefined) verdict.os = os
  return verdict
}
