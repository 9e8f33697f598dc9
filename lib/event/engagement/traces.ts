/**
 * What was seen of the messages whose links were followed last. Kept in the memory of one process and bounded, so it
 * is a hint: what another process saw, or what happened before a restart, is not in it.
 */
import { Fingerprint } from './fingerprint.ts'
import { RecentRows } from './recent-rows.ts'

/** Messages that are remembered with their clicks: at least the last ones of half as many. With the links, 6 MB. */
const messagesMax = 50_000
/** Links by which repeats are known, for each of those messages. */
const linksPerMessage = 2

/** How long after a HEAD request a GET of the same message counts as the same machine's. */
const headMs = 10_000
/** How long after a click on the trap every click of the message counts as the same machine's. */
const trapMs = 10_000
/** Clicks on this many different links of a message within this time are not a human's. */
const bursts = [
  { links: 2, withinMs: 1000 },
  { links: 3, withinMs: 5000 },
] as const

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

// Numbers of a message's row: two times, then the links clicked last, newest first, each its number and its time.
const headAt = 0
const trapAt = 1
const clicksAt = 2
/** Links of which the last click is remembered: more add nothing to a burst. */
const clicksMax = 3
const rowWidth = clicksAt + 2 * clicksMax

/** Runs for every request: makes no object but its answer. */
export class Traces {
  readonly #links: RecentRows
  readonly #messages: RecentRows
  readonly #message = new Fingerprint()
  readonly #link = new Fingerprint()

  constructor(max = messagesMax) {
    this.#links = new RecentRows(linksPerMessage * max, 0)
    this.#messages = new RecentRows(max, rowWidth)
  }

  /**
   * Notes that a link of a message was asked for by GET, and says what that adds up to with what was seen before.
   * @param link a number that tells it from the other links of the message
   * @param click whether people follow it, in contrast to a pixel
   */
  note(messageId: string, link: number, click: boolean, at: number, trap: boolean): Seen {
    const { high, low } = this.#message.ofText(messageId)
    const pair = this.#link.ofPair(this.#message, link)
    const repeat = this.#links.find(pair.high, pair.low) >= 0
    if (!repeat) this.#links.add(pair.high, pair.low)
    let row = this.#messages.find(high, low)
    if (row < 0) {
      if (!click) return repeat ? seenBefore : nothingSeen
      row = this.#messages.add(high, low)
    }
    const { values } = this.#messages
    if (trap) values[row + trapAt] = at
    return {
      repeat,
      burst: click && isBurst(values, row + clicksAt, link, at),
      afterHead: isWithin(headMs, values[row + headAt]!, at),
      afterTrap: isWithin(trapMs, values[row + trapAt]!, at),
    }
  }

  /** Notes a HEAD request for a link of a message. */
  noteHead(messageId: string, at: number): void {
    const { high, low } = this.#message.ofText(messageId)
    let row = this.#messages.find(high, low)
    if (row < 0) row = this.#messages.add(high, low)
    this.#messages.values[row + headAt] = at
  }
}

export const nothingSeen: Seen = { repeat: false, burst: false, afterHead: false, afterTrap: false }
const seenBefore: Seen = { ...nothingSeen, repeat: true }

/** On either side: when the clock was set back, what was long ago is in the future. */
function isWithin(ms: number, then: number, now: number): boolean {
  return Math.abs(now - then) <= ms
}

/** Puts a click before those that are remembered from `first` on, and says whether it makes a burst with them. */
function isBurst(values: Float64Array, first: number, link: number, at: number): boolean {
  let place = first
  const last = first + 2 * (clicksMax - 1)
  while (place < last && values[place] !== link) place += 2
  for (; place > first; place -= 2) {
    values[place] = values[place - 2]!
    values[place + 1] = values[place - 1]!
  }
  values[first] = link
  values[first + 1] = at
  for (const { links, withinMs } of bursts) {
    let count = 0
    for (place = first; place <= last; place += 2) {
      if (isWithin(withinMs, values[place + 1]!, at)) count++
    }
    if (count >= links) return true
  }
  return false
}
