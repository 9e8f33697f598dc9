/**
 * What was seen of the messages whose links were followed last. Kept in the memory of one process and bounded, so it
 * is a hint: what another process saw, or what happened before a restart, is not in it.
 */

/**
 * Messages that are remembered: at least the last ones of half as many. One with five links clicked takes about 850 bytes.
 */
const messagesMax = 50_000
/** Links remembered of one message; those beyond are never taken for repeats. */
const linksMax = 64

/** How long after a HEAD request a GET of the same message counts as the same machine's. */
const headMs = 10_000
/** How long after a click on the trap every click of the message counts as the same machine's. */
const trapMs = 10_000
/** Clicks on this many different links of a message within this time are not a human's. */
const bursts = [
  { links: 2, withinMs: 1000 },
  { links: 3, withinMs: 5000 },
] as const

/** Links of which the last click is remembered, for bursts: more say nothing new. */
const clicksMax = 8

export interface Seen {
  /** The same message and link was asked for before. */
  readonly repeat: boolean
  /** A HEAD request for a link of the message came shortly before. */
  readonly afterHead: boolean
  /** The trap of the message was clicked shortly before. */
  readonly afterTrap: boolean
  /** With this one, different links of the message were clicked faster than a human does. */
  readonly burst: boolean
}

/** A link of a message and when it was clicked last. */
interface Click {
  readonly link: number
  at: number
}

/** There are many of them: what most messages never need is made when it is needed. */
interface Trace {
  /** Few enough for a list. */
  links: number[] | undefined
  clicks: Click[] | undefined
  headAt: number | undefined
  trapAt: number | undefined
}

export class Traces {
  readonly #generationMax: number
  // Two generations: in one map the oldest message can't be found but by passing all that were forgotten before it.
  #young = new Map<string, Trace>()
  #old = new Map<string, Trace>()

  constructor(max = messagesMax) {
    this.#generationMax = max / 2
  }

  /**
   * Notes that a link of a message was asked for by GET, and says what that adds up to with what was seen before.
   * @param link a number that tells it from the other links of the message
   * @param click whether people follow it, in contrast to a pixel
   */
  note(messageId: string, link: number, click: boolean, at: number, trap: boolean): Seen {
    const trace = this.#touch(messageId)
    const repeat = trace.links?.includes(link) === true
    if (trace.links === undefined) trace.links = [link]
    else if (!repeat && trace.links.length < linksMax) trace.links.push(link)
    if (trap) trace.trapAt = at
    return {
      repeat,
      burst: click && isBurst(trace, link, at),
      afterHead: trace.headAt !== undefined && isWithin(headMs, trace.headAt, at),
      afterTrap: trace.trapAt !== undefined && isWithin(trapMs, trace.trapAt, at),
    }
  }

  /** Notes a HEAD request for a link of a message. */
  noteHead(messageId: string, at: number): void {
    this.#touch(messageId).headAt = at
  }

  #touch(messageId: string): Trace {
    let trace = this.#young.get(messageId)
    if (trace) return trace
    trace = this.#old.get(messageId) ?? { links: undefined, clicks: undefined, headAt: undefined, trapAt: undefined }
    if (this.#young.size >= this.#generationMax) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(messageId, trace)
    return trace
  }
}

/** On either side: when the clock was set back, what was long ago is in the future. */
function isWithin(ms: number, then: number, now: number): boolean {
  return Math.abs(now - then) <= ms
}

/** Whether a click makes a burst with those before it; it is added to them. Runs for every click: no copies. */
function isBurst(trace: Trace, link: number, at: number): boolean {
  if (trace.clicks === undefined) {
    trace.clicks = [{ link, at }]
    return false
  }
  const { clicks } = trace
  const known = clicks.find(click => click.link === link)
  if (known) known.at = at
  else {
    if (clicks.length === clicksMax) clicks.shift()
    clicks.push({ link, at })
  }
  return (
    clicks.length > 1 &&
    bursts.some(({ links, withinMs }) => clicks.filter(click => isWithin(withinMs, click.at, at)).length >= links)
  )
}
