/** Event ids: decimal numbers from 0 to 2^63-1 (SparkPost Events Ingest). */
import { hash, randomBytes } from 'node:crypto'

const mask63 = 2n ** 63n - 1n

// Random bytes are taken from the system a page at a time: a call per event costs more than the event.
const pool = { bytes: Buffer.alloc(0), next: 0 }
/** Taken for an id: 48 bits for the digits before the last nine, 32 for those. */
const bytesPerId = 10
const lastDigits = 1e9
/** How many numbers the digits before can be without passing 2^63. */
const firstCount = Number(2n ** 63n / BigInt(lastDigits))

/** The digits of an id while it is made. */
const digits = Buffer.alloc(19)
const zero = 0x30

/**
 * An id for something that happens now and can't happen again, such as an open: one of some 2^63, all as likely. Made of
 * two numbers, for arithmetic beyond 2^53 takes as long as a good part of a request; and digit by digit, for V8 keeps the
 * texts of numbers that it was asked for last.
 */
export function randomEventId(): string {
  if (pool.next + bytesPerId > pool.bytes.length) {
    pool.bytes = randomBytes(512 * bytesPerId)
    pool.next = 0
  }
  const first = Math.floor((pool.bytes.readUIntBE(pool.next, 6) / 2 ** 48) * firstCount)
  const last = Math.floor((pool.bytes.readUInt32BE(pool.next + 6) / 2 ** 32) * lastDigits)
  pool.next += bytesPerId
  writeDigits(last, digits.length - 9, digits.length)
  writeDigits(first % 1e5, 5, 10)
  writeDigits(Math.floor(first / 1e5), 0, 5)
  let start = 0
  while (digits[start] === zero && start < digits.length - 1) start++
  return digits.toString('latin1', start)
}

/** Right-aligned, filled with zeros. @param number below 2^31 */
function writeDigits(number: number, start: number, end: number): void {
  let rest = number | 0
  for (let at = end - 1; at >= start; at--) {
    const tenth = (rest / 10) | 0
    digits[at] = zero + rest - 10 * tenth
    rest = tenth
  }
}

/**
 * The id of something that may be read again, such as a log line or an accounting record: the same source text gives
 * the same id, in every process and after every restart. The first 64 bits of SHA-256 without the highest.
 */
export function derivedEventId(source: string | Uint8Array): string {
  return (hash('sha256', source, 'buffer').readBigUInt64BE(0) & mask63).toString()
}
