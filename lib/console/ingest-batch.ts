/** A batch of Events Ingest: gzip of NDJSON. */
import { createHash } from 'node:crypto'
import { gunzip } from 'node:zlib'
import type { Batch } from './event-store.ts'
import { readIngestEvent } from './ingest-event.ts'

/** The service's limit, "5 MB"; here both for the request and for what it inflates to, in bytes. */
export const batchBytesMax = 5 * 1024 * 1024

/** The body is not gzip at all. */
export class NotGzip extends Error {
  override readonly name = 'NotGzip'
}

/** The body inflates to more than the service takes. */
export class BatchTooLarge extends Error {
  override readonly name = 'BatchTooLarge'
}

/**
 * Inflates a batch. What is wrong inside it is its outcome, told out of band, as the service does it.
 * @throws {NotGzip} {BatchTooLarge} which are told at once
 */
export async function readBatch(id: string, body: Buffer, nowMs: number): Promise<Batch> {
  if (body[0] !== 0x1f || body[1] !== 0x8b) throw new NotGzip()
  const inflated = await inflate(body)
  if (inflated === undefined) return { id, errorType: 'decompress', lines: [] }
  return { id, digest: createHash('sha256').update(inflated).digest(), lines: linesOf(inflated, nowMs) }
}

/** Undefined when the bytes are damaged. */
function inflate(body: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    gunzip(body, { maxOutputLength: batchBytesMax }, (error: NodeJS.ErrnoException | null, result) => {
      if (error?.code === 'ERR_BUFFER_TOO_LARGE') reject(new BatchTooLarge())
      else resolve(error ? undefined : result)
    })
  })
}

/** Lines are judged one by one as they are asked for; blank lines don't count. */
function* linesOf(inflated: Buffer, nowMs: number): Batch['lines'] & Generator {
  let start = 0
  for (let line = 1; start < inflated.length; line++) {
    const newline = inflated.indexOf(0x0a, start)
    const end = newline < 0 ? inflated.length : newline
    const text = inflated.toString('utf8', start, end)
    start = end + 1
    if (text.trim() !== '') yield { line, text, verdict: readIngestEvent(text, nowMs) }
  }
}
