/** Bodies that are not encoded: 7bit, 8bit and binary (RFC 2045 §2.7 to 2.9). */
import type { BodyText, ChangedBody } from './body-text.ts'
import type { Edit } from './edit.ts'
import { encodeQuotedPrintable } from './quoted-printable.ts'

/** Longest line of a message without its line end, in bytes (RFC 5322 §2.1.1). */
export const lineBytesMax = 998

export class IdentityText implements BodyText {
  readonly text: string
  readonly bytes: Uint8Array
  readonly #reencodedBytesMax: number

  constructor(body: Buffer, reencodedBytesMax: number) {
    this.#reencodedBytesMax = reencodedBytesMax
    this.bytes = body
    this.text = body.toString('latin1')
  }

  /** Becomes quoted-printable, up to three times as long, when a line that was within the limit would grow past it. */
  splice(edits: readonly Edit[]): ChangedBody | undefined {
    const text = this.text
    let out = ''
    let from = 0
    // Length of the line that is being written, and of the line that it was.
    let column = 0
    let columnBefore = 0
    let tooLong = false
    for (const { start, end, text: replacement } of edits) {
      const kept = text.slice(from, start)
      const lastLine = kept.lastIndexOf('\n')
      if (lastLine === -1) {
        column += kept.length
        columnBefore += kept.length
      } else {
        tooLong ||= grewTooLong(column + kept.indexOf('\n') - 1, columnBefore + kept.indexOf('\n') - 1)
        column = kept.length - lastLine - 1
        columnBefore = column
      }
      out += kept + replacement
      const replacedLine = replacement.lastIndexOf('\n')
      if (replacedLine === -1) column += replacement.length
      else {
        const lineEnd = text.indexOf('\n', end)
        const before = columnBefore + (lineEnd === -1 ? text.length : lineEnd - 1) - start
        tooLong ||= grewTooLong(column + replacement.indexOf('\n') - 1, before)
        column = replacement.length - replacedLine - 1
      }
      columnBefore += end - start
      from = end
    }
    const rest = text.slice(from)
    const lineEnd = rest.indexOf('\n')
    const restOfLine = lineEnd === -1 ? rest.length : lineEnd - 1
    tooLong ||= grewTooLong(column + restOfLine, columnBefore + restOfLine)
    if (tooLong && text.length > this.#reencodedBytesMax) return undefined
    out += rest
    return tooLong
      ? { bytes: encodeQuotedPrintable(out), encoding: 'quoted-printable' }
      : { bytes: Buffer.from(out, 'latin1') }
  }
}

function grewTooLong(length: number, before: number): boolean {
  return length > lineBytesMax && before <= lineBytesMax
}
