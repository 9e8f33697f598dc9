/** Where events wait for the records of their messages, each for a limited time. */
import type { TrackingEvent } from '../event.ts'
import type { MessageRecord } from '../../record/record.ts'
import type { EnrichedEntry, ReadableEntry, RecordSource } from './event-source.ts'
import type { Clock } from './upload-gate.ts'

/** Events that wait at once, and the characters of their texts; further ones go without a record. */
const waitingMax = 50_000
const waitingCharsMax = 32_000_000
/** How often records are asked for again. */
export const recordRetryMs = 2_000
/** Messages asked for in one round trip. */
const askMax = 1_000

interface Waiting extends ReadableEntry {
  /** When it goes without, by `Clock.elapsed`. */
  readonly untilMs: number
}

export class RecordRoom {
  readonly #records: RecordSource
  readonly #waitMs: number
  readonly #isUrgent: (event: TrackingEvent, nowMs: number) => boolean
  readonly #clock: Clock
  #waiting: Waiting[] = []
  #waitingChars = 0
  #askedAt = -Infinity

  /**
   * @param waitMs how long after it happened an event waits
   * @param isUrgent whether an event had better go at once
   */
  constructor(
    records: RecordSource,
    waitMs: number,
    isUrgent: (event: TrackingEvent, nowMs: number) => boolean,
    clock: Clock,
  ) {
    this.#records = records
    this.#waitMs = waitMs
    this.#isUrgent = isUrgent
    this.#clock = clock
  }

  get size(): number {
    return this.#waiting.length
  }

  /** Asks for the records of newcomers; yields those who need not wait. One round trip for up to 1,000. Never rejects. */
  async enter(entries: readonly ReadableEntry[]): Promise<EnrichedEntry[]> {
    const nowMs = this.#clock.now()
    const elapsedMs = this.#clock.elapsed()
    const fresh = entries.map(({ entry, event }) => {
      // The clock of another machine may be ahead of ours.
      const leftMs = this.#isUrgent(event, nowMs) ? 0 : this.#waitMs - Math.max(0, nowMs - event.at)
      return { entry, event, untilMs: elapsedMs + leftMs }
    })
    return this.#sort(fresh, elapsedMs)
  }

  /** Asks again for those who wait, at most every 2 s; yields those who need not wait any more. Never rejects. */
  async ask(): Promise<EnrichedEntry[]> {
    const elapsedMs = this.#clock.elapsed()
    if (this.#waiting.length === 0 || elapsedMs - this.#askedAt < recordRetryMs) return []
    this.#askedAt = elapsedMs
    const before = this.#waiting
    this.#empty()
    return this.#sort(before, elapsedMs)
  }

  /** Empties the room. */
  leave(): ReadableEntry[] {
    const all = this.#waiting
    this.#empty()
    return all
  }

  #empty(): void {
    this.#waiting = []
    this.#waitingChars = 0
  }

  get #isFull(): boolean {
    return this.#waiting.length >= waitingMax || this.#waitingChars >= waitingCharsMax
  }

  async #sort(entries: readonly Waiting[], elapsedMs: number): Promise<EnrichedEntry[]> {
    const going: EnrichedEntry[] = []
    for (let start = 0; start < entries.length; start += askMax) {
      const part = entries.slice(start, start + askMax)
      const records = await this.#ask(part)
      for (const waiting of part) {
        const { entry, event, untilMs } = waiting
        const record = records?.get(event.messageId)
        const goes = isComplete(event, record) || elapsedMs >= untilMs || this.#isFull
        if (goes) going.push({ entry, event, record })
        else {
          this.#waiting.push(waiting)
          this.#waitingChars += entry.raw.length
        }
      }
    }
    return going
  }

  /** Undefined while the store is away. */
  async #ask(entries: readonly ReadableEntry[]): Promise<ReadonlyMap<string, MessageRecord> | undefined> {
    try {
      return await this.#records.getMany([...new Set(entries.map(({ event }) => event.messageId))])
    } catch {
      return undefined
    }
  }
}

/** Whether nothing is worth waiting for: outcomes of deliveries say themselves whom they concern. */
function isComplete(event: TrackingEvent, record: MessageRecord | undefined): boolean {
  return record?.recipient !== undefined || 'recipient' in event
}
