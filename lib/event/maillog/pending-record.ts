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

export function encodePending(record: PendingRecord): Buffer {
  return Buffer.from(JSON.stringify({ e: record.events, o: record.origins, ...(record.read && { p: record.read }) }))
}

/** A record that is none is empty: its checksum was right, so an earlier version wrote it. */
export function decodePending(payload: Uint8Array): PendingRecord {
  try {
    const { e, o, p } = JSON.parse(Buffer.from(payload).toString('utf8')) as {
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
