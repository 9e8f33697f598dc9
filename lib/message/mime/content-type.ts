/** The value of a Content-Type field (RFC 2045 §5.1), as far as tracking needs it. */
import { trimSpace } from './header-block.ts'

export interface ContentType {
  /** `text/html`, lower case; `text/plain` for a field that is absent or empty. */
  readonly type: string
  /** Absent when there is none, and when two readings of the field disagree on it. */
  readonly boundary?: string
  /** Lower case. */
  readonly charset?: string
}

const comment = /\([^()]*\)/g
const boundaryParameter =
  /;[ \t\r\n\v\f]*boundary[ \t\r\n\v\f]*=[ \t\r\n\v\f]*(?:"((?:[^"\\]|\\.)*)"|([^ \t\r\n\v\f;]+))/i
const charsetParameter =
  /;[ \t\r\n\v\f]*charset[ \t\r\n\v\f]*=[ \t\r\n\v\f]*(?:"([^"]*)"|'([^']*)'|([^ \t\r\n\v\f;]+))/i

/**
 * @param value unfolded; undefined when the field is absent
 *
 * Parentheses are comments outside of quoted strings and text within. Readers exist that take them for comments
 * everywhere: where the two readings yield different boundaries there is none, and the multipart is left as it is.
 */
export function parseContentType(value: string | undefined): ContentType {
  if (value === undefined || value === '') return { type: 'text/plain' }
  const plain = value.includes('(') ? value.replaceAll(comment, '') : value
  const semicolon = plain.indexOf(';')
  const type = trimSpace(semicolon === -1 ? plain : plain.slice(0, semicolon)).toLowerCase() || 'text/plain'
  if (semicolon === -1) return { type }
  const charset = charsetParameter.exec(plain)
  const charsetName = charset && trimSpace(charset[1] ?? charset[2] ?? charset[3] ?? '').toLowerCase()
  const boundary = type.startsWith('multipart/') ? boundaryOf(plain) : undefined
  return {
    type,
    ...(boundary !== undefined && (plain === value || boundaryOf(value) === boundary) && { boundary }),
    ...(charsetName && { charset: charsetName }),
  }
}

function boundaryOf(value: string): string | undefined {
  const match = boundaryParameter.exec(value)
  if (!match) return undefined
  const boundary = match[1]?.replaceAll(/\\(.)/g, '$1') ?? match[2] ?? ''
  let end = boundary.length
  while (end > 0 && (boundary[end - 1] === ' ' || boundary[end - 1] === '\t')) end--
  return end === 0 ? undefined : boundary.slice(0, end)
}
