/** The target of a link as it may stand in a `Location` header. */
import { isRedirectTarget } from '../../link/redirect-target.ts'

/**
 * The URL byte by byte as its author wrote it, except for what a header can't hold: a character beyond ASCII becomes
 * the percent escapes of its UTF-8 bytes, a space `%20`. Nothing is parsed, decoded or put in order: `%E4%FC`, `%2F`,
 * `[ ]`, `/../` and a stray `%` arrive as they were. At most nine times as long as the URL.
 *
 * Undefined for what must not be followed: another scheme than http and https, no host, control characters.
 */
export function headerLocation(url: string): string | undefined {
  if (!isRedirectTarget(url)) return undefined
  return /^[!-~]*$/.test(url) ? url : escaped(url)
}

function escaped(url: string): string {
  let result = ''
  for (const byte of Buffer.from(url)) {
    result +=
      byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return result
}
