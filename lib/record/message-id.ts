/** `X-Sp-Message-Id`, the identity that ties opens, clicks and accounting records to a message. */
import { randomBytes } from 'node:crypto'
import { hexDigit } from '../text/hex-digit.ts'

/** The header that carries it. */
export const messageIdHeader = 'X-Sp-Message-Id'
/** The header that carries the message's UUID. */
export const uuidHeader = 'X-Sendpost-Message-UUID'

/** Longest id that is accepted from a generator, in characters. */
const messageIdCharsMax = 64

/**
 * A new id in SparkPost form: 20 hex digits, `0000`, the Unix time in seconds as four bytes little-endian, four random
 * bytes.
 */
export function newMessageId(nowMs: number, random: Uint8Array = randomBytes(4)): string {
  const id = Buffer.alloc(10)
  id.writeUInt32LE(Math.floor(nowMs / 1000) >>> 0, 2)
  id.set(random.subarray(0, 4), 6)
  return id.toString('hex')
}

/** When a message with an id in SparkPost form was stamped, Unix time in milliseconds; undefined for any other form. */
export function messageIdTime(id: string): number | undefined {
  if (id.length !== 20 || !id.startsWith('0000')) return undefined
  // Digit by digit: the tracker asks for every click.
  let seconds = 0
  for (let at = 18; at >= 4; at -= 2) {
    const high = hexDigit(id.charCodeAt(at))
    const low = hexDigit(id.charCodeAt(at + 1))
    if (high < 0 || low < 0) return undefined
    if (at < 12) seconds = seconds * 256 + high * 16 + low
  }
  return seconds * 1000
}

/** Whether an id set by a generator can be kept: 1 to 64 visible ASCII characters without white space. */
export function isUsableMessageId(id: string): boolean {
  return id.length <= messageIdCharsMax && /^[!-~]+$/.test(id)
}
