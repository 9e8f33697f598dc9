/** Reads log files from their beginning and prints what would be reported. */
import type { LogSource } from './log-source.ts'
import { apiEvent } from './api-event.ts'
import type { DeliveryLog } from './delivery-log.ts'
import { openLogFile } from './log-file.ts'
import { eachLine } from './log-text.ts'
import type { Outcome } from './outcome.ts'

/** Small enough for its text to be garbage at once (V8 moves larger strings to where it seldom looks). */
const chunkBytes = 96 * 1024

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
    const buffer = Buffer.allocUnsafe(chunkBytes)
    let rest = ''
    for (let offset = 0; ;) {
      const length = await file.read(buffer, offset)
      if (length === 0) break
      offset += length
      const text = rest + buffer.toString('latin1', 0, length)
      const end = text.lastIndexOf('\n') + 1
      // A line of megabytes: its beginning is what counts.
      rest = text.slice(end).slice(0, 4 * chunkBytes)
      take(text.slice(0, end))
      await afterChunk()
    }
    if (rest !== '') take(rest)
    await afterChunk()
  } finally {
    await file.close()
  }
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
