/** The base64 transfer encoding (RFC 2045 §6.8). */
import type { BodyText, ChangedBody } from './body-text.ts'
import type { Edit } from './edit.ts'

/** Length of lines where the part itself shows none (RFC 2045 §6.8), in characters. */
const lineCharsDefault = 76
const wellFormed = /^[A-Za-z0-9+/\r\n \t]*={0,2}[\r\n \t]*$/

export class Base64Text implements BodyText {
  readonly text: string
  readonly #lineChars: number
  /** White space after the last digit, as it stands. */
  readonly #tail: string

  private constructor(encoded: string) {
    this.text = Buffer.from(encoded, 'base64').toString('latin1')
    const firstLine = encoded.indexOf('\r\n')
    this.#lineChars = firstLine >= 4 && firstLine <= 998 ? firstLine : lineCharsDefault
    let end = encoded.length
    while (end > 0 && encoded.charCodeAt(end - 1) <= 0x20) end--
    this.#tail = encoded.slice(end)
  }

  /** Undefined for a body with other characters, or with padding before its end: readers disagree on what that means. */
  static read(body: Buffer): Base64Text | undefined {
    const encoded = body.toString('latin1')
    return wellFormed.test(encoded) ? new Base64Text(encoded) : undefined
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
