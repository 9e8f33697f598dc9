/** The text that goes with a result, as much of it as is kept and reported. */
import { cutUtf8 } from '../../text/cut-utf8.ts'
import { lineText } from './line-text.ts'

/** Longest description, in bytes of UTF-8. Postfix itself cuts replies and log lines at about 2 kB. */
export const descriptionBytesMax = 4096

/**
 * The text between two places of a line whose bytes were read as latin1, decoded as UTF-8. What is too long is cut between
 * two characters.
 */
export function keptDescription(line: string, from: number, to: number): string {
  // Bytes of one character more: its beginning may still fit, and then it is cut off whole.
  return cutDescription(lineText(line, from, Math.min(to, from + descriptionBytesMax + 3)))
}

/** As much of a text as is kept. */
export function cutDescription(text: string): string {
  return cutUtf8(text, descriptionBytesMax)
}
