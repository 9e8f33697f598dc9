/** Bodies that are not encoded: 7bit, 8bit and binary (RFC 2045 §2.7 to 2.9). */
import type { BodyText, ChangedBody } from './body-text.ts'
import { splicedBytes, type Edit } from './edit.ts'
import { encodeQuotedPrintable } from './quoted-printable.ts'

/** Longest line of a message without its line end, in bytes (RFC 5322 §2.1.1). */
export const lineBytesMax = 998

export class IdentityText implements BodyText {
  readonly text: string
  readonly bytes: Buffer
  readonly #reencodedBytesMax: number

  constructor(body: Buffer, reencodedBytesMax: number) {
    this.#reencodedBytesMax = reencodedBytesMax
    this.bytes = body
    this.text = body.toString('latin1')
  }

  /** Becomes quoted-printable, up to three times as long, when a line that was within the limit would grow past it. */
  splice(edits: readonly Edit[]): ChangedBody | undefined {
    const tooLong = this.#growsTooLong(edits)
    if (tooLong && this.text.length > this.#reencodedBytesMax) return undefined
    const bytes = splicedBytes(this.bytes, edits)
    return tooLong
      ? { bytes: encodeQuotedPrintable(bytes.toString('latin1')), encoding: 'quoted-printable' }
      : { bytes }
  }

  #growsTooLong(edits: readonly Edit[]): boolean {
    const text = this.text
    let from = 0
    // Length of the line that is being written, and of the line that it was.
    let column = 0
    let columnBefore = 0
    for (const { start, end, text: replacement } of edits) {
      const kept = text.slice(from, start)
      const lastLine = kept.lastIndexOf('\n')
      if (lastLine === -1) {
        column += kept.length
        columnBefore += kept.length
      } else {
        const firstLine = kept.indexOf('\n')
        if (grewTooLong(column + firstLine - 1, columnBefore + firstLine - 1)) return true
        column = kept.length - lastLine - 1
        columnBefore = column
      }
      const replacedLine = replacement.lastIndexOf('\n')
      if (replacedLine === -1) column += replacement.length
      else {
        const lineEnd = text.indexOf('\n', end)
        const before = columnBefore + (lineEnd === -1 ? text.length : lineEnd - 1) - start
        if (grewTooLong(column + replacement.indexOf('\n') - 1, before)) return true
        column = replacement.length - replacedLine - 1
      }
      columnBefore += end - start
      from = end
    }
    const lineEnd = text.indexOf('\n', from)
    const restOfLine = lineEnd === -1 ? text.length - from : lineEnd - 1 - from
    return grewTooLong(column + restOfLine, columnBefore + restOfLine)
  }
}

function grewTooLong(length: number, before: number): boolean {
  return length > lineBytesMax && before <= lineBytesMax
}
