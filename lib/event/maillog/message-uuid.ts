/** The UUID of a message, as a header value or a message-id carries it. */

const dashed = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i
const bare = /(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/i

/**
 * The first UUID in a text: the usual five groups anywhere in it, else 32 hexadecimal digits in a row. Lower case with
 * dashes, or undefined.
 */
export function messageUuid(text: string): string | undefined {
  const found = dashed.exec(text)?.[0]
  if (found !== undefined) return ownCopy(found.toLowerCase())
  const digits = bare.exec(text)?.[0].toLowerCase()
  if (digits === undefined) return undefined
  return ownCopy(
    `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`,
  )
}

/** What a match returns may be a view of the text that was searched; the id outlives it. */
function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
