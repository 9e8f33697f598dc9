/** A batch of Events Ingest: gzip of NDJSON. */
import { hash } from 'node:crypto'
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
 * Inflates the body of a batch. That it is damaged is its outcome (`decompress`), told out of band, as the service does.
 * @returns undefined when it is damaged
 * @throws {NotGzip} {BatchTooLarge} which are told at once
 */
export function inflateBatch(body: Uint8Array): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    if (body[0] !== 0x1f || body[1] !== 0x8b) throw new NotGzip()
    gunzip(body, { maxOutputLength: batchBytesMax }, (error: NodeJS.ErrnoException | null, result) => {
      if (error?.code === 'ERR_BUFFER_TOO_LARGE') reject(new BatchTooLarge())
      else resolve(error ? undefined : result)
    })
  })
}

/** A batch to be stored, made of what it inflated to. */
export function batchOf(id: string, inflated: Uint8Array | undefined, nowMs: number): Batch {
  if (inflated === undefined) return { id, errorType: 'decompress', lines: [] }
  const bytes = Buffer.from(inflated.buffer, inflated.byteOffset, inflated.byteLength)
  return { id, digest: hash('sha256', bytes, 'buffer'), lines: linesOf(bytes, nowMs) }
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
