/** What a part is to the wrapper, by its header. */
import { transferEncoding } from '../mime/body-text.ts'
import { parseContentType, type ContentType } from '../mime/content-type.ts'
import type { HeaderBlock } from '../mime/header-block.ts'

export type PartKind =
  /** Its parts are looked at. */
  | { readonly kind: 'container'; readonly boundary: string }
  /** Its text may be rewritten. */
  | { readonly kind: 'html' | 'amp' | 'text'; readonly charset: string | undefined; readonly delSp: boolean }
  /** Its bytes stay. */
  | { readonly kind: 'sealed' | 'attachment' | 'header-conflict' | 'other' }

/** multipart/signed and multipart/encrypted (RFC 1847), multipart/report (RFC 6522), other messages: their bytes are evidence. */
const sealedTypes = /^(?:multipart\/(?:signed|encrypted|report|digest)|message\/)/

export function partKind(header: HeaderBlock): PartKind {
  // Of several fields with one name some readers take the first, others the last.
  if (
    disagree(header, 'content-type', value => JSON.stringify(parseContentType(value))) ||
    disagree(header, 'content-disposition', isInline) ||
    disagree(header, 'content-transfer-encoding', transferEncoding)
  )
    return { kind: 'header-conflict' }
  const contentType = parseContentType(header.get('content-type'))
  const { type, boundary } = contentType
  if (sealedTypes.test(type)) return { kind: 'sealed' }
  if (!isInline(header.get('content-disposition') ?? '')) return { kind: 'attachment' }
  if (type.startsWith('multipart/')) return boundary === undefined ? { kind: 'other' } : { kind: 'container', boundary }
  return textKind(contentType)
}

/** A disposition that is not known counts as attachment (RFC 2183 §2.8). */
function isInline(disposition: string): boolean {
  return /^(?:"?inline"?[ \t]*(?:[;(]|$)|;|$)/i.test(disposition)
}

/** Whether fields of one name mean different things. */
function disagree(header: HeaderBlock, name: string, meaning: (value: string) => unknown): boolean {
  const { fields } = header
  const first = fields.findIndex(field => field.name === name)
  if (first === -1) return false
  let expected: unknown
  for (const [index, field] of fields.entries()) {
    // Where the empty line is missing, what follows a line that is no field is the body, or the header of its first part.
    if (index > 0 && !/^[!-9;-~]+$/.test(field.name)) return false
    if (index < first || field.name !== name) continue
    const found = meaning(header.valueOf(field))
    expected ??= found
    if (found !== expected) return true
  }
  return false
}

function textKind({ type, charset, delSp = false }: ContentType): PartKind {
  switch (type) {
    case 'text/html':
      return { kind: 'html', charset, delSp }
    case 'text/x-amp-html':
      return { kind: 'amp', charset, delSp }
    case 'text/plain':
      return { kind: 'text', charset, delSp }
    default:
      return { kind: 'other' }
  }
}
