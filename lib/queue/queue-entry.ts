/** An entry of a partition's stream, as it was taken from the queue. */
import type { TrackingEvent } from '../event/event.ts'
import { eventCharsMax, readEvent } from '../event/read-event.ts'
import { cutUtf8 } from '../text/cut-utf8.ts'

export interface QueuedEvent {
  readonly partition: number
  /** Redis's id of the entry; not the event's. */
  readonly entryId: string
  /** Undefined when the entry is no event. */
  readonly event: TrackingEvent | undefined
  /** Why it is none. */
  readonly fault?: string
  /** The text that was queued; of one that is longer than any event, its beginning. */
  readonly raw: string
  /** How long that text is, in characters, or in bytes where it was not read to its end. */
  readonly chars: number
  /** Whether it was given to a consumer before, this or another. */
  readonly isRepeat: boolean
}

/**
 * An entry as Redis replies it; without fields when it was deleted while somebody had it; with its size in bytes when that
 * is too large for an event and only the beginning is there.
 */
export type EntryReply = readonly [id: string, fields: readonly string[] | null, bytes?: number]

/** What is kept of a text that is too long for an event. */
export const excerptBytes = 1_000

export function readEntry(partition: number, [entryId, fields, bytes]: EntryReply, isRepeat: boolean): QueuedEvent {
  const [name, first = ''] = fields ?? []
  const isEvent = name === 'e'
  const raw = isEvent ? first : (fields?.join(' ') ?? '')
  const { event, ...flaw } = isEvent && bytes === undefined ? readEvent(raw) : { fault: faultOf(bytes) }
  const kept = raw.length > eventCharsMax ? cutUtf8(raw, excerptBytes) : raw
  return { partition, entryId, isRepeat, event, ...flaw, raw: kept, chars: bytes ?? raw.length }
}

function faultOf(bytes: number | undefined): string {
  return bytes === undefined
    ? 'its first field is not e'
    : `${bytes} bytes, at most ${eventCharsMax} characters are read`
}
