/** A record of the log of pending events: events, and the place in the mail log behind them. */
import type { ApiEvent } from './api-event.ts'
import type { SourcePosition } from './log-source.ts'

export interface PendingRecord {
  readonly events: readonly ApiEvent[]
  /** Source and position; absent when further events of the same place follow. */
  readonly read?: readonly [id: string, position: SourcePosition]
}

export function encodePending(record: PendingRecord): Buffer {
  return Buffer.from(JSON.stringify({ e: record.events, ...(record.read && { p: record.read }) }))
}

/** A record that is none is empty: its checksum was right, so an earlier version wrote it. */
export function decodePending(payload: Uint8Array): PendingRecord {
  try {
    const { e, p } = JSON.parse(Buffer.from(payload).toString('utf8')) as {
      e?: ApiEvent[]
      p?: [string, SourcePosition]
    }
    return { events: Array.isArray(e) ? e : [], ...(Array.isArray(p) && { read: p }) }
  } catch {
    return { events: [] }
  }
}
