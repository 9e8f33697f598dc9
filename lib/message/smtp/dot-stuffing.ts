/** The dot transparency of DATA (RFC 5321 section 4.5.2), for sending. */

const dot = Buffer.from('.')
const lineFeedDot = Buffer.from('\n.')

/** Doubles a dot at the beginning of a line, in any chunking. */
export class DotStuffer {
  #lineStart = true
  #lastCr = false

  /** The pieces to send; views of `chunk` where possible. */
  stuff(chunk: Buffer): Buffer[] {
    if (chunk.length === 0) return []
    const pieces: Buffer[] = []
    if (this.#lineStart && chunk[0] === 46) pieces.push(dot)
    let from = 0
    for (let at = chunk.indexOf(lineFeedDot); at !== -1; at = chunk.indexOf(lineFeedDot, from)) {
      pieces.push(chunk.subarray(from, at + 1), dot)
      from = at + 1
    }
    pieces.push(from === 0 ? chunk : chunk.subarray(from))
    const last = chunk[chunk.length - 1]
    this.#lineStart = last === 10
    this.#lastCr = last === 13
    return pieces
  }

  /** What ends the message: CRLF where the last line has none, then the dot. */
  end(): Buffer {
    if (this.#lineStart) return Buffer.from('.\r\n')
    return Buffer.from(this.#lastCr ? '\n.\r\n' : '\r\n.\r\n')
  }
}
