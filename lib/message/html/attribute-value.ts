/** Values of attributes (HTML standard §13.2.5.72 and following). */
import { decodeHTMLAttribute } from 'entities'

/** Decodes character references, once, by the rules for attributes: `&copy=1` stays, `&amp;` and `&#38;` do not. */
export function decodeAttributeValue(value: string): string {
  return value.includes('&') ? decodeHTMLAttribute(value) : value
}
