/** Where events wait for the records of their messages, each for a limited time. */
import type { TrackingEvent } from '../event.ts'
import type { MessageRecord } from '../../record/record.ts'
import type { EnrichedEntry, ReadableEntry, RecordSource } from './event-source.ts'

/** Events that wait at once; further ones go without a record. */
export const waitingMax = 50_000
/** How often records are asked for again. */
export const recordRetryMs = 2_000
/** Messages asked for in one round trip. */
const askMax = 1_000

interface Waiting extends ReadableEntry {
  /** When it goes without. */
  readonly untilMs: number
}

export class RecordRoom {
  readonly #records: RecordSource
  readonly #waitMs: number
  readonly #isUrgent: (event: TrackingEvent, nowMs: number) => boolean
  #waiting: Waiting[] = []
  #askedAt = 0

  /**
   * @param waitMs how long after it happened an event waits
   * @param isUrgent whether an event had better go at once
   */
  constructor(records: RecordSource, waitMs: number, isUrgent: (event: TrackingEvent, nowMs: number) => boolean) {
    this.#records = records
    this.#waitMs = waitMs
    this.#isUrgent = isUrgent
  }

  get size(): number {
    return this.#waiting.length
  }

  /** Asks for the records of newcomers; yields those who need not wait. One round trip for up to 1,000. Never rejects. */
  async enter(entries: readonly ReadableEntry[], nowMs: number): Promise<EnrichedEntry[]> {
    const fresh = entries.map(({ entry, event }) => ({
      entry,
      event,
      // The clock of another machine may be ahead of ours.
      untilMs: this.#isUrgent(event, nowMs) ? nowMs : Math.min(event.at, nowMs) + this.#waitMs,
    }))
    return this.#sort(fresh, nowMs)
  }

  /** Asks again for those who wait, at most every 2 s; yields those who need not wait any more. Never rejects. */
  async ask(nowMs: number): Promise<EnrichedEntry[]> {
    if (this.#waiting.length === 0 || Math.abs(nowMs - this.#askedAt) < recordRetryMs) return []
    this.#askedAt = nowMs
    const before = this.#waiting
    this.#waiting = []
    return this.#sort(before, nowMs)
  }

  /** Empties the room. */
  leave(): ReadableEntry[] {
    const all = this.#waiting
    this.#waiting = []
    return all
  }

  async #sort(entries: readonly Waiting[], nowMs: number): Promise<EnrichedEntry[]> {
    const going: EnrichedEntry[] = []
    for (let start = 0; start < entries.length; start += askMax) {
      const part = entries.slice(start, start + askMax)
      const records = await this.#ask(part)
      for (const waiting of part) {
        const { entry, event, untilMs } = waiting
        const record = records?.get(event.messageId)
        const goes = isComplete(event, record) || nowMs >= untilMs || this.#waiting.length >= waitingMax
        if (goes) going.push({ entry, event, record })
        else this.#waiting.push(waiting)
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
