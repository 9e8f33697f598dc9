/** The UUID of a message, as a header value or a message-id carries it. */
import { findUuid, formatUuid, foundUuid } from './uuid-words.ts'

/**
 * The first UUID in a text: the usual five groups anywhere in it, else 32 hexadecimal digits in a row. Lower case with
 * dashes, or undefined.
 */
export function messageUuid(text: string): string | undefined {
  return findUuid(text, 0, text.length) ? formatUuid(foundUuid, 0) : undefined
}
