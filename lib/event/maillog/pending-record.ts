/** A record of the log of pending events: events, and the place in the mail log behind them. */
import type { ApiEvent } from './api-event.ts'
import type { SourcePosition } from './log-source.ts'

/**
 * Most bytes of events in one record. One event never takes more than half of the 1 MiB that the log of pending events
 * allows: its line has 64 KiB, of which JSON makes six times as much at worst.
 */
const eventBytesMax = 256 * 1024

export interface PendingRecord {
  readonly events: readonly ApiEvent[]
  /** Of each event, where it was read (`originOf`); absent in records of earlier versions. */
  readonly origins?: readonly string[]
  /** Source and position; absent when further events of the same place follow. */
  readonly read?: readonly [id: string, position: SourcePosition]
}

/** How many of the events from a place on go into one record: at least one, at most `countMax`. */
export function eventsOfRecord(
  events: readonly { readonly event: ApiEvent; readonly origin: string }[],
  from: number,
  countMax: number,
): number {
  const end = Math.min(events.length, from + countMax)
  let bytes = 0
  let at = from
  for (; at < end; at++) {
    const { event, origin } = events[at]!
    bytes += Buffer.byteLength(JSON.stringify(event)) + Buffer.byteLength(JSON.stringify(origin))
    if (bytes > eventBytesMax && at > from) break
  }
  return at - from
}

/**
 * The bytes of a record, valid until the next call: a buffer for each would be garbage that V8, which sees only how small
 * the object before it is, leaves lying by tens of megabytes.
 */
export function encodePending(record: PendingRecord): Buffer {
  const text = JSON.stringify({ e: record.events, o: record.origins, ...(record.read && { p: record.read }) })
  // A character takes at most three bytes.
  if (3 * text.length > scratch.length) scratch = Buffer.allocUnsafeSlow(3 * text.length)
  return scratch.subarray(0, scratch.write(text))
}

let scratch = Buffer.allocUnsafeSlow(2 * eventBytesMax)

/** A record that is none is empty: its checksum was right, so an earlier version wrote it. */
export function decodePending(payload: Uint8Array): PendingRecord {
  try {
    const { e, o, p } = JSON.parse(
      Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'),
    ) as {
      e?: ApiEvent[]
      o?: string[]
      p?: [string, SourcePosition]
    }
    return {
      events: Array.isArray(e) ? e : [],
      ...(Array.isArray(o) && { origins: o }),
      ...(Array.isArray(p) && { read: p }),
    }
  } catch {
    return { events: [] }
  }
}
