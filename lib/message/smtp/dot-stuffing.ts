/** The dot transparency of DATA (RFC 5321 section 4.5.2), for sending. */
import { PieceList } from './piece-list.ts'

const dot = Buffer.from('.')
const lineFeedDot = Buffer.from('\n.')

/** Doubles a dot at the beginning of a line, in any chunking. */
export class DotStuffer {
  #lineStart = true
  #lastCr = false

  /** The pieces to send, a few at most; views of `chunk` where possible. */
  stuff(chunk: Buffer): Buffer[] {
    if (chunk.length === 0) return []
    const first = this.#lineStart && chunk[0] === 46
    const last = chunk[chunk.length - 1]
    this.#lineStart = last === 10
    this.#lastCr = last === 13
    let at = chunk.indexOf(lineFeedDot)
    if (at === -1) return first ? [dot, chunk] : [chunk]
    // A dot for each two bytes at most, and the one in front.
    const pieces = new PieceList(Math.ceil(chunk.length * 1.5) + 1)
    if (first) pieces.put(dot)
    let from = 0
    for (; at !== -1; at = chunk.indexOf(lineFeedDot, from)) {
      pieces.put(chunk, from, at + 1)
      pieces.put(dot)
      from = at + 1
    }
    pieces.put(chunk, from)
    return pieces.pieces()
  }

  /** What ends the message: CRLF where the last line has none, then the dot. */
  end(): Buffer {
    if (this.#lineStart) return Buffer.from('.\r\n')
    return Buffer.from(this.#lastCr ? '\n.\r\n' : '\r\n.\r\n')
  }
}
