/** What a part is to the wrapper, by its header. */
import { parseContentType, type ContentType } from '../mime/content-type.ts'
import type { HeaderBlock } from '../mime/header-block.ts'

export type PartKind =
  /** Its parts are looked at. */
  | { readonly kind: 'container'; readonly boundary: string }
  /** Its text may be rewritten. */
  | { readonly kind: 'html' | 'amp' | 'text'; readonly charset: string | undefined; readonly delSp: boolean }
  /** Its bytes stay. */
  | { readonly kind: 'sealed' | 'attachment' | 'other' }

/** multipart/signed and multipart/encrypted (RFC 1847), multipart/report (RFC 6522), other messages: their bytes are evidence. */
const sealedTypes = /^(?:multipart\/(?:signed|encrypted|report|digest)|message\/)/

export function partKind(header: HeaderBlock): PartKind {
  const contentType = parseContentType(header.get('content-type'))
  const { type, boundary } = contentType
  if (sealedTypes.test(type)) return { kind: 'sealed' }
  // A disposition that is not known counts as attachment (RFC 2183 §2.8).
  if (!/^(?:"?inline"?[ \t]*(?:[;(]|$)|;|$)/i.test(header.get('content-disposition') ?? ''))
    return { kind: 'attachment' }
  if (type.startsWith('multipart/')) return boundary === undefined ? { kind: 'other' } : { kind: 'container', boundary }
  return textKind(contentType)
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
