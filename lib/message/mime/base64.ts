/** The base64 transfer encoding (RFC 2045 §6.8). */
import type { BodyText, ChangedBody } from './body-text.ts'
import type { Edit } from './edit.ts'

/** Length of lines where the part itself shows none, in characters. */
const lineCharsDefault = 76
const lineCharsMax = 998
const wellFormed = /^[A-Za-z0-9+/ \t\r\n]*(?:=[ \t\r\n]*){0,2}$/

export class Base64Text implements BodyText {
  readonly text: string
  readonly #lineChars: number
  /** The line ends behind the last digit, as they are. */
  readonly #tail: string

  private constructor(text: string, encoded: string) {
    this.text = text
    const firstLine = encoded.indexOf('\r\n')
    this.#lineChars = firstLine >= 4 && firstLine <= lineCharsMax ? firstLine : lineCharsDefault
    let end = encoded.length
    while (end > 0 && encoded.charCodeAt(end - 1) <= 0x20) end--
    this.#tail = encoded.slice(end)
  }

  /**
   * Undefined for a body with other characters, or with padding before its end: RFC 2045 ignores what is no digit, but
   * what a mailing list appends may hold digits, and readers disagree on what is to be made of it.
   */
  static read(body: Buffer): Base64Text | undefined {
    const encoded = body.toString('latin1')
    if (!wellFormed.test(encoded)) return undefined
    const text = Buffer.from(encoded, 'base64').toString('latin1')
    // A digit too many says nothing, and readers disagree on that as well.
    if (text.length % 3 === 0 && digitCount(encoded) % 4 === 1) return undefined
    return new Base64Text(text, encoded)
  }

  splice(edits: readonly Edit[]): ChangedBody {
    let changed = ''
    let from = 0
    for (const { start, end, text } of edits) {
      changed += this.text.slice(from, start) + text
      from = end
    }
    const digits = Buffer.from(changed + this.text.slice(from), 'latin1').toString('base64')
    const lines: string[] = []
    for (let at = 0; at < digits.length; at += this.#lineChars) lines.push(digits.slice(at, at + this.#lineChars))
    return { bytes: Buffer.from(lines.join('\r\n') + this.#tail, 'latin1') }
  }
}

function digitCount(encoded: string): number {
  return encoded.replaceAll(/[^A-Za-z0-9+/]+/g, '').length
}
