/** Reads log files from their beginning and prints what would be reported. */
import type { LogSource } from './log-source.ts'
import { apiEvent } from './api-event.ts'
import type { DeliveryLog } from './delivery-log.ts'
import { openLogFile } from './log-file.ts'
import { eachLine } from './log-text.ts'
import type { Outcome } from './outcome.ts'

/** Small enough for its text to be garbage at once (V8 moves larger strings to where it seldom looks). */
const chunkBytes = 96 * 1024
/** A call of the system for each chunk would be a tenth of the time. */
const readBytes = 8 * chunkBytes
/** Of a line that does not end; what is longer than 64 KiB is cut in any case. */
const lineBytesKept = 4 * chunkBytes

/** An event as `--dry-run` prints it: as the API gets it, and where it was read. */
export function dryRunLine(outcome: Outcome): string {
  const { queueId, to, origTo, relay, dsn, status } = outcome.log
  return JSON.stringify({
    ...apiEvent(outcome),
    log: { queue_id: queueId, to, orig_to: origTo ?? null, relay, dsn, status },
  })
}

/**
 * Reads a file, plain or compressed, to its end.
 * @param verdicts counts lines by what they were good for
 * @throws Error of the file system
 */
export async function readWholeFile(
  path: string,
  deliveryLog: DeliveryLog,
  verdicts: Map<string, number>,
  afterChunk: () => Promise<void>,
): Promise<void> {
  const file = await openLogFile(path)
  try {
    const latestMs = await file.modifiedMs()
    const take = (text: string) =>
      eachLine(text, (line, whole) => {
        const verdict = deliveryLog.read(line, whole, latestMs, path)
        verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
      })
    const buffer = Buffer.allocUnsafe(readBytes)
    /** At the beginning of the buffer: what has no line end yet. */
    let kept = 0
    for (let offset = 0; ;) {
      const length = await file.read(buffer.subarray(kept), offset)
      if (length === 0) break
      offset += length
      const end = kept + length
      let from = 0
      while (from < end) {
        const to = linesEnd(buffer, from, end)
        if (to === from) break
        take(buffer.toString('latin1', from, to))
        from = to
        await afterChunk()
      }
      // A line of megabytes: its beginning is what counts.
      kept = Math.min(end - from, lineBytesKept)
      buffer.copy(buffer, 0, from, from + kept)
    }
    if (kept > 0) take(buffer.toString('latin1', 0, kept))
    await afterChunk()
  } finally {
    await file.close()
  }
}

/** Where the last line ends that ends within a chunk's size; of a longer line its own end, `from` when it has none. */
function linesEnd(bytes: Buffer, from: number, to: number): number {
  const within = bytes.subarray(from, Math.min(to, from + chunkBytes)).lastIndexOf(10)
  if (within !== -1) return from + within + 1
  return from + bytes.subarray(from, to).indexOf(10) + 1
}

/** Reads a stream to its end. */
export async function readWholeSource(
  source: LogSource,
  deliveryLog: DeliveryLog,
  verdicts: Map<string, number>,
  afterChunk: () => Promise<void>,
): Promise<void> {
  while (!source.ended) {
    const chunk = await source.next()
    if (!chunk) {
      await new Promise(resolve => setTimeout(resolve, 10))
      continue
    }
    eachLine(chunk.text, (line, whole) => {
      const verdict = deliveryLog.read(line, whole, chunk.latestMs, source.id)
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
    })
    await afterChunk()
  }
}
