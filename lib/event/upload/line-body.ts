/** Request bodies made of lines. */
import { promisify } from 'node:util'
import { gzip as gzipCallback, type InputType, type ZlibOptions } from 'node:zlib'
import type { EncodedBatch } from './destination.ts'
import type { OutgoingEvent } from './event-destination.ts'

const gzip = promisify<InputType, ZlibOptions, Buffer>(gzipCallback)

/** Level 1: a quarter faster than level 6 for a fifth more bytes, which are few either way. */
const gzipLevel = 1

/** NDJSON, compressed on zlib's own threads. */
export async function gzippedLines(events: readonly OutgoingEvent[]): Promise<EncodedBatch> {
  const raw = Buffer.from(`${events.map(event => event.line).join('\n')}\n`)
  return {
    body: await gzip(raw, { level: gzipLevel }),
    headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' },
    rawBytes: raw.length,
  }
}

/** A JSON array, as it is. */
export function jsonArray(events: readonly OutgoingEvent[]): EncodedBatch {
  const body = Buffer.from(`[${events.map(event => event.line).join(',')}]`)
  return { body, headers: { 'content-type': 'application/json' }, rawBytes: body.length }
}
