/** The User-Agent header as it is kept in events. */

/** Longest User-Agent that is kept, in bytes of UTF-8. */
export const userAgentBytesMax = 512

/**
 * Valid UTF-8 of bounded length.
 * @param header as node:http gives it: each byte a Latin-1 character
 */
export function userAgentText(header: string | undefined): string | undefined {
  if (header === undefined || header === '') return undefined
  if (header.length <= userAgentBytesMax && /^[ -~]*$/.test(header)) return header
  let bytes = Buffer.from(Buffer.from(header, 'latin1').toString('utf8'))
  if (bytes.length > userAgentBytesMax) {
    let end = userAgentBytesMax
    // Not in the midst of a character.
    while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
    bytes = bytes.subarray(0, end)
  }
  return bytes.toString('utf8')
}
