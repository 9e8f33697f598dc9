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
  const types = valuesOf(header, 'content-type')
  const dispositions = valuesOf(header, 'content-disposition')
  const encodings = valuesOf(header, 'content-transfer-encoding')
  if (
    disagree(types, value => JSON.stringify(parseContentType(value))) ||
    disagree(dispositions, isInline) ||
    disagree(encodings, transferEncoding)
  )
    return { kind: 'header-conflict' }
  const contentType = parseContentType(types[0])
  const { type, boundary } = contentType
  if (sealedTypes.test(type)) return { kind: 'sealed' }
  if (!isInline(dispositions[0] ?? '')) return { kind: 'attachment' }
  if (type.startsWith('multipart/')) return boundary === undefined ? { kind: 'other' } : { kind: 'container', boundary }
  return textKind(contentType)
}

/** A disposition that is not known counts as attachment (RFC 2183 §2.8). */
function isInline(disposition: string): boolean {
  return /^(?:"?inline"?[ \t]*(?:[;(]|$)|;|$)/i.test(disposition)
}

const fieldName = /^[!-9;-~]+$/

/**
 * Values of the fields of this name. The first counts wherever it stands; others only up to the first line that is no
 * field: where the empty line is missing, what follows is the body, or the header of its first part.
 */
function valuesOf(header: HeaderBlock, name: string): string[] {
  const { fields } = header
  const first = header.indexOf(name)
  if (first === -1) return []
  const values = [header.valueOf(fields[first]!)]
  const next = header.indexOf(name, first + 1)
  if (next === -1) return values
  const broken = fields.findIndex((field, index) => index > 0 && !fieldName.test(field.name))
  const end = broken === -1 ? fields.length : broken
  for (let at = next; at !== -1 && at < end; at = header.indexOf(name, at + 1)) values.push(header.valueOf(fields[at]!))
  return values
}

/** Whether values of one field mean different things. */
function disagree(values: readonly string[], meaning: (value: string) => unknown): boolean {
  if (values.length < 2) return false
  const expected = meaning(values[0]!)
  return values.some(value => meaning(value) !== expected)
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
