/**
 * Queue ids as Postfix forms them (mail_queue.h): short ones are 5 hexadecimal digits of microseconds and the inode
 * number in hexadecimal; long ones (`enable_long_queue_ids`) are written in base 52, digits and consonants, with a `z`
 * between time and inode number in base 51.
 */

const shortCharsMin = 6
const shortCharsMax = 21
const longCharsMin = 12
/** 6 of seconds, 4 of microseconds, `z`, up to 12 of the inode number. */
const longCharsMax = 24
/** Longest of both kinds. */
export const queueIdCharsMax = longCharsMax

// 1: upper-case hexadecimal digit, 2: digit or consonant, 3: both.
const classes = new Uint8Array(256)
for (const char of '0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz') classes[char.charCodeAt(0)] = 2
for (const char of '0123456789ABCDEF') classes[char.charCodeAt(0)]! |= 1

/** Where the queue id that begins at `from` ends, or -1 when none begins there. `NOQUEUE` is none. */
export function queueIdEnd(text: string, from: number, to: number): number {
  const last = Math.min(to, from + longCharsMax)
  let kind = 3
  let separator = false
  let at = from
  for (; at < last; at++) {
    const code = text.charCodeAt(at)
    if (code === 122 && at - from >= 10) separator = true
    const found = code < 256 ? classes[code]! : 0
    if (found === 0) break
    kind &= found
    if (kind === 0) return -1
  }
  const length = at - from
  if ((kind & 1) === 1 && length >= shortCharsMin && length <= shortCharsMax) return at
  return (kind & 2) === 2 && length >= longCharsMin && separator ? at : -1
}
