/** What the feeder sees of the queue and of the records. */
import type { MessageRecord } from '../../record/record.ts'
import type { TrackingEvent } from '../event.ts'

export interface SourceEntry {
  readonly partition: number
  readonly entryId: string
  /** Undefined when the entry can't be read as an event. */
  readonly event: TrackingEvent | undefined
  /** Why it can't. */
  readonly fault?: string
  readonly raw: string
  /** Whether it was handed out before, to this or another feeder. */
  readonly isRepeat: boolean
}

export interface EventSource {
  /** Up to `max` entries, none after `waitMs`. May reject while the queue is away. */
  take: (max: number, waitMs: number) => Promise<readonly SourceEntry[]>
  /** Removes entries for good. May reject, and is then asked again. */
  done: (entries: readonly SourceEntry[]) => Promise<void>
  /** Whether nothing will come any more. Absent: there is always more to come. */
  readonly ended?: () => boolean
}

export interface RecordSource {
  /** May reject while the store is away. */
  getMany: (messageIds: readonly string[]) => Promise<ReadonlyMap<string, MessageRecord>>
}

/** An entry that could be read. */
export interface ReadableEntry {
  readonly entry: SourceEntry
  readonly event: TrackingEvent
}

/** With what is known of its message. */
export interface EnrichedEntry extends ReadableEntry {
  readonly record: MessageRecord | undefined
}
