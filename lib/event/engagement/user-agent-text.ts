/** The User-Agent header as it is kept in events. */
import { cutUtf8 } from '../../text/cut-utf8.ts'

/** Longest User-Agent that is kept, in bytes of UTF-8. */
export const userAgentBytesMax = 512

/**
 * Valid UTF-8 of bounded length.
 * @param header as node:http gives it: each byte a Latin-1 character
 */
export function userAgentText(header: string | undefined): string | undefined {
  if (header === undefined || header === '') return undefined
  if (header.length <= userAgentBytesMax && /^[ -~]*$/.test(header)) return header
  return cutUtf8(Buffer.from(header, 'latin1').toString('utf8'), userAgentBytesMax)
}
