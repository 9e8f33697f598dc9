/** An event as it arrived at one of the two ingestion endpoints, after it was found valid. */

/** Which API it came through: SparkPost Events Ingest or SendPost custom SMTP. */
export type EventSource = 'sparkpost' | 'sendpost'

export interface ReceivedEvent {
  readonly source: EventSource
  /** `type` on the wire (`click`, `inband` …) or `event_type` (`delivered` …). */
  readonly type: string
  /** Absent in the few events that have none (`gen_rejection`, `gen_fail`). */
  readonly messageId?: string
  /** `rcpt_to` or `recipient`. */
  readonly recipient?: string
  /** SparkPost's `event_id`, 0 … 2^63-1. */
  readonly eventId?: bigint
  /** When it happened, Unix ms, as the event says. */
  readonly at?: number
  /** The event as received: the text of a JSON object. */
  readonly body: string
}

/** Either a valid event, or what is wrong with it in words that name the field. */
export type EventVerdict = { readonly event: ReceivedEvent } | { readonly fault: string }

/** A JSON object, by its members; undefined for anything else. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}
