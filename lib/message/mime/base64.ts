/** The base64 transfer encoding (RFC 2045 §6.8). */
import type { BodyText, ChangedBody } from './body-text.ts'
import { splicedBytes, type Edit } from './edit.ts'

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
  readonly bytes: Buffer
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
    return isCommon(encoded, bytes.length) || isWellFormed(body) ? new Base64Text(bytes, encoded) : undefined
  }

  splice(edits: readonly Edit[]): ChangedBody {
    const digits = splicedBytes(this.bytes, edits).toString('base64')
    const lineChars = this.#lineChars
    let lines = digits.slice(0, lineChars)
    for (let at = lineChars; at < digits.length; at += lineChars) lines += `\r\n${digits.slice(at, at + lineChars)}`
    return { bytes: Buffer.from(lines + this.#tail, 'latin1') }
  }
}

/**
 * Tells the common form, which is well formed, without looking at each character: lines of one length that decode to as
 * many bytes as they should; a character that is no digit would make it fewer.
 */
function isCommon(encoded: string, decodedBytes: number): boolean {
  let end = encoded.length
  while (end > 0 && (encoded.charCodeAt(end - 1) === 0x0a || encoded.charCodeAt(end - 1) === 0x0d)) end--
  const lineChars = encoded.indexOf('\r\n')
  if (lineChars < 4) return false
  let lineEnds = 0
  for (let at = lineChars; at < end; at += lineChars + 2) {
    if (encoded.charCodeAt(at) !== 0x0d || encoded.charCodeAt(at + 1) !== 0x0a) return false
    lineEnds++
  }
  const digits = end - 2 * lineEnds
  const padding = encoded.charCodeAt(end - 1) !== 0x3d ? 0 : encoded.charCodeAt(end - 2) !== 0x3d ? 1 : 2
  if (digits % 4 !== 0 || decodedBytes !== (digits / 4) * 3 - padding) return false
  // Digits of base64url, which are decoded too.
  return !encoded.includes('-') && !encoded.includes('_')
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
