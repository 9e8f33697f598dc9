/** A stored event as one line of NDJSON. */
import type { EventRow } from './event-store.ts'

/**
 * What every line says in the same place, whichever API the event came through, and after it the event as received:
 * `msys` of Events Ingest, the members of a custom-SMTP event.
 */
export function eventLine(row: EventRow): string {
  const head = JSON.stringify({
    seq: row.seq,
    source: row.source,
    received: new Date(row.received).toISOString(),
    type: row.type,
    // A custom-SMTP event has these two in the same place by itself.
    ...(row.source !== 'sendpost' && {
      ...(row.messageId !== null && { message_id: row.messageId }),
      ...(row.recipient !== null && { recipient: row.recipient }),
    }),
    ...(row.eventId !== null && { event_id: row.eventId }),
    ...(row.at !== null && { at: new Date(row.at).toISOString() }),
    ...(row.batch !== null && { batch: row.batch }),
  })
  // The body is the text of an object that has members; it is joined as text, so that it stays byte for byte what came.
  return `${head.slice(0, -1)},${row.body.slice(1)}\n`
}
