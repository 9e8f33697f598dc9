/** The base64 transfer encoding (RFC 2045 §6.8). */
import type { BodyText, ChangedBody } from './body-text.ts'
import type { Edit } from './edit.ts'

/** Length of lines where the part itself shows none, in characters. */
const lineCharsDefault = 76
const lineCharsMax = 998

/** What each byte is: 1 a digit, 2 white space, 3 padding, 0 anything else. */
const kinds = new Uint8Array(256)
for (const digit of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')) kinds[digit] = 1
for (const space of Buffer.from(' \t\r\n')) kinds[space] = 2
kinds[0x3d] = 3

export class Base64Text implements BodyText {
  readonly text: string
  readonly bytes: Uint8Array
  readonly #lineChars: number
  /** The line ends behind the last digit, as they are. */
  readonly #tail: string

  private constructor(bytes: Buffer, encoded: string) {
    this.bytes = bytes
    this.text = bytes.toString('latin1')
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
    const bytes = Buffer.from(encoded, 'base64')
    // The common form is told by encoding it again, which is faster than looking at each byte.
    const isCommon = encoded.replaceAll('\r\n', '') === bytes.toString('base64')
    return isCommon || isWellFormed(body) ? new Base64Text(bytes, encoded) : undefined
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

function isWellFormed(body: Buffer): boolean {
  let digits = 0
  let padding = 0
  for (const byte of body) {
    const kind = kinds[byte]
    if (kind === 1 && padding === 0) digits++
    else if (kind === 3) padding++
    else if (kind !== 2) return false
  }
  // A digit too many says nothing, and readers disagree on that as well.
  return padding <= 2 && digits % 4 !== 1
}
