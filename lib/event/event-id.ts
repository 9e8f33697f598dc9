/** Event ids: decimal numbers from 0 to 2^63-1 (SparkPost Events Ingest). */
import { hash, randomBytes } from 'node:crypto'

const mask63 = 2n ** 63n - 1n

// Random bytes are taken from the system a page at a time: a call per event costs more than the event.
const pool = { bytes: Buffer.alloc(0), next: 0 }

/** An id for something that happens now and can't happen again, such as an open. */
export function randomEventId(): string {
  if (pool.next + 8 > pool.bytes.length) {
    pool.bytes = randomBytes(4096)
    pool.next = 0
  }
  const id = pool.bytes.readBigUInt64BE(pool.next) & mask63
  pool.next += 8
  return id.toString()
}

/**
 * The id of something that may be read again, such as a log line or an accounting record: the same source text gives
 * the same id, in every process and after every restart. The first 64 bits of SHA-256 without the highest.
 */
export function derivedEventId(source: string | Uint8Array): string {
  return (hash('sha256', source, 'buffer').readBigUInt64BE(0) & mask63).toString()
}
