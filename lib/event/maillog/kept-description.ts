/** The text that goes with a result, as much of it as is kept and reported. */
import { lineText } from './line-text.ts'

/** Longest description, in bytes of UTF-8. Postfix itself cuts replies and log lines at about 2 kB. */
export const descriptionBytesMax = 4096

/**
 * The text between two places of a line whose bytes were read as latin1, decoded as UTF-8. What is too long is cut between
 * two characters.
 */
export function keptDescription(line: string, from: number, to: number): string {
  if (to - from <= descriptionBytesMax) return cutDescription(lineText(line, from, to))
  let end = from + descriptionBytesMax
  // A character of UTF-8 goes on with at most three bytes 10xxxxxx.
  for (let back = 0; back < 3 && (line.charCodeAt(end) & 0xc0) === 0x80; back++) end--
  return cutDescription(lineText(line, from, end))
}

/** As much of a text as is kept. */
export function cutDescription(text: string): string {
  if (text.length * 3 <= descriptionBytesMax || Buffer.byteLength(text) <= descriptionBytesMax) return text
  const bytes = Buffer.from(text)
  let end = descriptionBytesMax
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
