/** Complete lines out of a file that is read piece by piece, and how far they reach. */
import { headBytesMax } from './log-file.ts'
import { lineBytesMax, type SourceEvents } from './log-source.ts'

export class LineCutter {
  readonly #skipped: SourceEvents['skippedBytes']
  /** End of what was taken: complete lines, and NULs before one. */
  #offset: number
  /** The first bytes of the file, as many as have been taken of it, at most 1024. */
  #head: Buffer
  /** In the middle of a line that is too long: everything to its end is left out. */
  #skippingTo: number | undefined

  /**
   * @param offset where the first line begins
   * @param head the first bytes of the file, at most 1024
   */
  constructor(offset: number, head: Buffer, skipped: SourceEvents['skippedBytes']) {
    this.#offset = offset
    this.#head = head
    this.#skipped = skipped
  }

  get offset(): number {
    return this.#offset
  }

  get head(): Buffer {
    return this.#head
  }

  /** Where to read on. */
  get readFrom(): number {
    return this.#skippingTo ?? this.#offset
  }

  get isSkipping(): boolean {
    return this.#skippingTo !== undefined
  }

  /**
   * Takes the complete lines out of what was read at `readFrom`; latin1, each with its end.
   * @returns undefined when nothing is complete; '' when only NULs were taken
   */
  cut(bytes: Buffer): string | undefined {
    if (this.#skippingTo !== undefined) {
      this.#skip(bytes, this.#skippingTo)
      return undefined
    }
    const last = bytes.lastIndexOf(10)
    if (last !== -1) {
      const text = bytes.toString('latin1', 0, last + 1)
      this.#advance(bytes, last + 1)
      return text
    }
    // A hole that a crash or a truncation under an open file left: no line, and no part of one.
    let from = 0
    while (from < bytes.length && bytes[from] === 0) from++
    if (from > 0) {
      this.#skipped(from, 'nul')
      this.#advance(bytes, from)
      return ''
    }
    if (bytes.length < lineBytesMax) return undefined
    this.#skippingTo = this.#offset + bytes.length
    this.#skipped(bytes.length - lineBytesMax, 'overlong')
    return `${bytes.toString('latin1', 0, lineBytesMax)}\n`
  }

  /** Takes a last line without end, of a file that is done. */
  rest(bytes: Buffer): string {
    this.#advance(bytes, bytes.length)
    return bytes.toString('latin1')
  }

  #skip(bytes: Buffer, from: number): void {
    const end = bytes.indexOf(10)
    this.#skipped(end === -1 ? bytes.length : end, 'overlong')
    if (end === -1) {
      this.#skippingTo = from + bytes.length
      return
    }
    this.#advance(bytes, from + end + 1 - this.#offset)
    this.#skippingTo = undefined
  }

  #advance(bytes: Buffer, count: number): void {
    if (this.#offset === this.#head.length && this.#head.length < headBytesMax && count <= bytes.length)
      this.#head = Buffer.concat([this.#head, bytes.subarray(0, Math.min(count, headBytesMax - this.#head.length))])
    this.#offset += count
  }
}
