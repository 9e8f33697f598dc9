/** The parts of a message, down to those within sealed ones, for people who want to see all of them. */
import { parseContentType } from '../message/mime/content-type.ts'
import { HeaderBlock } from '../message/mime/header-block.ts'
import { partKind } from '../message/tracking/part-kind.ts'

export interface MessagePart {
  /** Where it stands: `2.1` is the first part of the second one; the message itself is `0`. */
  readonly path: string
  /** Media type, lower case. */
  readonly type: string
  /** Lower case. */
  readonly charset: string | undefined
  readonly header: HeaderBlock
  readonly body: Buffer
  /** What the wrapper leaves alone as a whole and this is, or is part of. */
  readonly within: 'sealed' | 'attachment' | 'header-conflict' | 'boundary' | undefined
}

/** Parts and levels that are looked at, at most. */
const partsMax = 10_000
const depthMax = 100

/** The leaves, in the order of the message. */
export function messageParts(message: Buffer): MessagePart[] {
  const parts: MessagePart[] = []
  addParts(message, '', undefined, 0, parts)
  return parts
}

function addParts(
  bytes: Buffer,
  path: string,
  outer: MessagePart['within'],
  depth: number,
  parts: MessagePart[],
): void {
  if (parts.length >= partsMax) return
  const { header, body } = splitHeader(bytes)
  const { type, boundary, charset } = parseContentType(header.get('content-type'))
  const { kind } = partKind(header)
  const within = outer ?? (kind === 'sealed' || kind === 'attachment' || kind === 'header-conflict' ? kind : undefined)
  const below = path === '' ? '' : `${path}.`
  if (type.startsWith('multipart/') && boundary !== undefined && depth < depthMax) {
    // Sealed multiparts have parts like others, which are shown although they stay as they are.
    for (const [index, part] of splitParts(body, boundary).entries())
      addParts(part, `${below}${index + 1}`, within, depth + 1, parts)
  } else if (type === 'message/rfc822' && depth < depthMax) addParts(body, `${below}1`, within, depth + 1, parts)
  else {
    const unreadable = type.startsWith('multipart/') ? 'boundary' : undefined
    parts.push({ path: path || '0', type, charset, header, body, within: within ?? unreadable })
  }
}

function splitHeader(bytes: Buffer): { readonly header: HeaderBlock; readonly body: Buffer } {
  if (bytes.subarray(0, 2).equals(lineEnd)) return { header: new HeaderBlock(''), body: bytes.subarray(2) }
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) return { header: new HeaderBlock(bytes), body: Buffer.alloc(0) }
  return { header: new HeaderBlock(bytes.subarray(0, end + 2)), body: bytes.subarray(end + 4) }
}

const lineEnd = Buffer.from('\r\n')

/** Bodies between the delimiter lines (RFC 2046 §5.1.1). */
function splitParts(body: Buffer, boundary: string): Buffer[] {
  const delimiter = `--${boundary}`
  const parts: Buffer[] = []
  let start = -1
  for (let at = body.indexOf(delimiter, 0, 'latin1'); at !== -1; at = body.indexOf(delimiter, at + 1, 'latin1')) {
    if (at > 0 && (body[at - 1] !== 0x0a || body[at - 2] !== 0x0d)) continue
    const end = body.indexOf(lineEnd, at)
    const rest = body.toString('latin1', at + delimiter.length, end === -1 ? body.length : end)
    if (!/^(?:--)?[ \t]*$/.test(rest)) continue
    if (start !== -1) parts.push(body.subarray(start, Math.max(start, at - 2)))
    start = end === -1 ? body.length : end + 2
    if (rest.startsWith('--')) return parts
  }
  if (start !== -1) parts.push(body.subarray(start))
  return parts
}
