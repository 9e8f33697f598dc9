/** A point in time as a user writes it in a URL. */
import { parseRfc3339 } from './rfc3339.ts'

/** Seconds and milliseconds since 1970 differ by so much that the number says which it is: 1e11 s is the year 5138. */
const secondsMax = 1e11

/**
 * Unix milliseconds of an RFC 3339 timestamp, or of Unix seconds (fractions allowed) or milliseconds; undefined for
 * anything else. A `+` that was not percent-encoded arrives as a space and is taken for what it was.
 */
export function readTime(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  if (/^\d{1,15}(?:\.\d{1,9})?$/.test(text)) {
    const number = Number(text)
    return Math.ceil(number < secondsMax ? number * 1000 : number)
  }
  return parseRfc3339(text.replace(/ (?=\d\d:\d\d$)/, '+'))
}
