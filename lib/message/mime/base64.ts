/** The base64 transfer encoding (RFC 2045 §6.8). */
import type { BodyText, ChangedBody } from './body-text.ts'
import type { Edit } from './edit.ts'

/** Length of lines where the part itself shows none, in characters. */
const lineCharsDefault = 76
const lineCharsMax = 998
const wellFormed = /^[A-Za-z0-9+/\r\n]*$/
const foreign = /[^A-Za-z0-9+/]+/g

export class Base64Text implements BodyText {
  readonly text: string
  readonly #lineChars: number
  /** What stands behind the last digit and its padding, as it is: line ends, or what a mailing list appended. */
  readonly #tail: string

  private constructor(digits: string, lineChars: number, tail: string) {
    this.text = Buffer.from(digits, 'base64').toString('latin1')
    this.#lineChars = lineChars
    this.#tail = tail
  }

  /**
   * Undefined for a body that does not look like base64. Characters that are no digits are ignored, as the RFC says, but
   * not markup; the first padding ends the text, as it does for readers.
   */
  static read(body: Buffer): Base64Text | undefined {
    const encoded = body.toString('latin1')
    const padding = encoded.indexOf('=')
    let end = padding === -1 ? encoded.length : padding
    while (end > 0 && encoded.charCodeAt(end - 1) <= 0x20) end--
    let tailStart = end
    if (padding !== -1)
      tailStart = padding + (/^=[ \t\r\n]*=/.exec(encoded.slice(padding, padding + 80))?.[0].length ?? 1)
    let digits = encoded.slice(0, end)
    if (!wellFormed.test(digits)) {
      if (digits.includes('<')) return undefined
      digits = digits.replaceAll(foreign, '')
      if (digits.length < end / 2) return undefined
    }
    const firstLine = encoded.indexOf('\r\n')
    const lineChars = firstLine >= 4 && firstLine <= lineCharsMax ? firstLine : lineCharsDefault
    const read = new Base64Text(digits, lineChars, encoded.slice(tailStart))
    return (digits.length - 2 * digitLineEnds(digits)) % 4 === 1 ? undefined : read
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

function digitLineEnds(digits: string): number {
  let count = 0
  for (let at = digits.indexOf('\r\n'); at !== -1; at = digits.indexOf('\r\n', at + 2)) count++
  return count
}
