/** The target of a link as it may stand in a `Location` header. */

/** Longest target that is followed, in characters of the header's value. Node's and nginx's header limits are above it. */
export const locationCharsMax = 16_384

/**
 * The URL byte by byte as its author wrote it, except for what a header can't hold: a character beyond ASCII becomes
 * the percent escapes of its UTF-8 bytes, a space `%20`. Nothing is parsed, decoded or put in order: `%E4%FC`, `%2F`,
 * `[ ]`, `/../` and a stray `%` arrive as they were.
 *
 * Undefined for what must not be followed: another scheme than http and https, no host, control characters, too long.
 */
export function headerLocation(url: string): string | undefined {
  if (!/^https?:\/\/[^/?#\\]/i.test(url)) return undefined
  // oxlint-disable-next-line no-control-regex -- control characters are what must not get into a header
  if (/[\u0000-\u001f\u007f]/.test(url)) return undefined
  const location = /^[!-~]*$/.test(url) ? url : escaped(url)
  return location.length <= locationCharsMax ? location : undefined
}

function escaped(url: string): string {
  let result = ''
  for (const byte of Buffer.from(url)) {
    result +=
      byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return result
}
