/** Values of attributes (HTML standard §13.2.5.72 and following). */
import { decodeHTMLAttribute } from 'entities'

/** Decodes character references, once, by the rules for attributes: `&copy=1` stays, `&amp;` and `&#38;` do not. */
export function decodeAttributeValue(value: string): string {
  if (!value.includes('&')) return value
  // Nearly all references in URLs are this one.
  return /&(?!amp;)/.test(value) ? decodeHTMLAttribute(value) : value.replaceAll('&amp;', '&')
}
