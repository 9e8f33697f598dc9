/** A record of the log of pending events: events, and the place in the mail log behind them. */
import type { SourcePosition } from './log-source.ts'

/**
 * Most bytes of events in one record. One event never takes more than half of the 1 MiB that the log of pending events
 * allows: its line has 64 KiB, of which JSON makes six times as much at worst.
 */
const eventBytesMax = 256 * 1024

export interface PendingRecord {
  /** Each as JSON of an `ApiEvent`: made once, and sent as it was made. */
  readonly events: readonly string[]
  /** Of each event, where it was read (`originOf`); absent in records of earlier versions, and where nobody asked. */
  readonly origins?: readonly string[]
  /** Source and position; absent when further events of the same place follow. */
  readonly read?: readonly [id: string, position: SourcePosition]
}

/** How many of the events from a place on go into one record: at least one, at most `countMax`. */
export function eventsOfRecord(
  events: readonly { readonly event: string; readonly origin: string }[],
  from: number,
  countMax: number,
): number {
  const end = Math.min(events.length, from + countMax)
  let bytes = 0
  let at = from
  for (; at < end; at++) {
    const { event, origin } = events[at]!
    // A character takes at most six bytes of JSON, and a seventh as JSON is put into JSON.
    bytes += Buffer.byteLength(event) + 7 * origin.length
    if (bytes > eventBytesMax && at > from) break
  }
  return at - from
}

/**
 * The bytes of a record, valid until the next call: a buffer for each would be garbage that V8, which sees only how small
 * the object before it is, leaves lying by tens of megabytes. A line of JSON with all but the events, then one for each
 * of these. The origins are JSON within it: texts of up to ten characters, as most queue ids are, V8 would enter in its
 * table of strings wherever it reads the line, and leave that table and its old space full of them.
 */
export function encodePending({ events, origins, read }: PendingRecord): Buffer {
  const text = `${JSON.stringify({ ...(origins && { o: JSON.stringify(origins) }), ...(read && { p: read }) })}\n${events.join('\n')}`
  // A character takes at most three bytes.
  if (3 * text.length > scratch.length) scratch = Buffer.allocUnsafeSlow(3 * text.length)
  return scratch.subarray(0, scratch.write(text))
}

let scratch = Buffer.allocUnsafeSlow(2 * eventBytesMax)

/**
 * A record that is none is empty: its checksum was right, so another version wrote it.
 * @param withOrigins who only sends the events has no use for them
 */
export function decodePending(payload: Uint8Array, { withOrigins = false } = {}): PendingRecord {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  const headerEnd = bytes.indexOf(10)
  try {
    const { e, o, p } = JSON.parse(bytes.toString('utf8', 0, headerEnd === -1 ? bytes.length : headerEnd)) as {
      /** Where earlier versions had the events. */
      e?: unknown[]
      /** JSON of the origins; in earlier versions they themselves. */
      o?: string | string[]
      p?: [string, SourcePosition]
    }
    const earlier = Array.isArray(e) ? e.map(event => JSON.stringify(event)) : []
    return {
      events: headerEnd === -1 ? earlier : [...lines(bytes, headerEnd + 1)],
      ...(withOrigins && o !== undefined && { origins: typeof o === 'string' ? (JSON.parse(o) as string[]) : o }),
      ...(Array.isArray(p) && { read: p }),
    }
  } catch {
    return { events: [] }
  }
}

function* lines(bytes: Buffer, first: number): Generator<string> {
  for (let from = first; from < bytes.length;) {
    const end = bytes.indexOf(10, from)
    const to = end === -1 ? bytes.length : end
    yield bytes.toString('utf8', from, to)
    from = to + 1
  }
}
