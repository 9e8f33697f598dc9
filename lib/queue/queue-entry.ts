/** An entry of a partition's stream, as it was taken from the queue. */
import type { TrackingEvent } from '../event/event.ts'
import { readEvent } from '../event/read-event.ts'

export interface QueuedEvent {
  readonly partition: number
  /** Redis's id of the entry; not the event's. */
  readonly entryId: string
  /** Undefined when the entry is no event. */
  readonly event: TrackingEvent | undefined
  /** Why it is none. */
  readonly fault?: string
  /** The text that was queued. */
  readonly raw: string
  /** How often it was given to a consumer, this time included. */
  readonly deliveries: number
}

/** An entry as Redis replies it; without fields when it was deleted while somebody had it. */
export type EntryReply = readonly [id: string, fields: readonly string[] | null]

export function readEntry(partition: number, [entryId, fields]: EntryReply, deliveries: number): QueuedEvent {
  const [name, raw = ''] = fields ?? []
  const place = { partition, entryId, deliveries }
  if (name !== 'e')
    return { ...place, event: undefined, fault: 'its first field is not e', raw: fields?.join(' ') ?? '' }
  const { event, ...flaw } = readEvent(raw)
  return { ...place, event, ...flaw, raw }
}
