/** A line without its line end (LF or CRLF). */
export interface Line {
  /** Of a line that is too long only the beginning. */
  readonly bytes: Buffer
  readonly isWhole: boolean
}

const lf = 0x0a
const cr = 0x0d

/**
 * Cuts NDJSON into lines, in whatever chunks it comes. Only LF ends a line: JSON text may hold U+2028, U+2029 and, in
 * damaged files, lone CR, at which `node:readline` would cut as well.
 */
export class LineSplitter {
  readonly #lineBytesMax: number
  /** The line that has begun. */
  #parts: Buffer[] = []
  #bytes = 0
  #isWhole = true

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax
  }

  /** The lines that end in this chunk. It is kept, not copied: don't write to it again. */
  write(chunk: Buffer): Line[] {
    const lines: Line[] = []
    let start = 0
    for (let end = chunk.indexOf(lf); end !== -1; end = chunk.indexOf(lf, start)) {
      this.#keep(chunk.subarray(start, end))
      lines.push(this.#take())
      start = end + 1
    }
    this.#keep(chunk.subarray(start))
    return lines
  }

  /** The last line, when it has no line end. */
  end(): Line[] {
    return this.#bytes === 0 ? [] : [this.#take()]
  }

  #keep(part: Buffer): void {
    const room = this.#lineBytesMax - this.#bytes
    if (part.length > room) this.#isWhole = false
    const kept = part.subarray(0, room)
    if (kept.length === 0) return
    this.#parts.push(kept)
    this.#bytes += kept.length
  }

  #take(): Line {
    const [only = Buffer.alloc(0), ...more] = this.#parts
    const bytes = more.length === 0 ? only : Buffer.concat(this.#parts)
    const line = { bytes: bytes.at(-1) === cr ? bytes.subarray(0, -1) : bytes, isWhole: this.#isWhole }
    this.#parts = []
    this.#bytes = 0
    this.#isWhole = true
    return line
  }
}
