/**
 * Reads what follows DATA (RFC 5321 section 4.1.1.4): finds the end, removes the dot transparency, and leaves no line
 * end but CRLF. The end is CRLF "." CRLF and nothing else, wherever the stream is cut; a line of one dot that is not
 * framed by two CRLF is content.
 *
 * A bare LF counts as a line end and becomes CRLF, a bare CR becomes a space, as Postfix 3.9 does by default
 * (`smtpd_forbid_bare_newline = normalize`, `cleanup_replace_stray_cr_lf`). Whether there were any is told, so that the
 * caller may refuse instead.
 */
import { PieceList } from './piece-list.ts'

export interface Decoded {
  /** Content, in a few pieces. */
  readonly content: readonly Buffer[]
  /** What came after the end; undefined while the end has not come. */
  readonly rest: Buffer | undefined
}

const crlf = Buffer.from('\r\n')
const space = Buffer.from(' ')
const dotLine = Buffer.from('.\r\n')

const states = {
  /** Within a line. */
  inLine: 0,
  /** After a CR whose meaning is open. */
  afterCr: 1,
  /** At the beginning of a line, after CRLF or at the very start. */
  lineStart: 2,
  /** At the beginning of a line, after a bare LF. */
  lineStartAfterLf: 3,
  /** After a dot at lineStart, held back. */
  dot: 4,
  /** After a dot at lineStartAfterLf, held back. */
  dotAfterLf: 5,
  /** After dot CR, both held back. */
  dotCr: 6,
  dotCrAfterLf: 7,
  ended: 8,
} as const
type State = (typeof states)[keyof typeof states]

export class DataDecoder {
  /** Whether a bare CR or LF has been seen. */
  stray = false
  #state: State = states.lineStart

  /** Content and, once the end was found, what follows it. Not called again after the end. */
  decode(chunk: Buffer): Decoded {
    const length = chunk.length
    // A bare LF becomes two bytes; what was held back of the chunk before becomes two more.
    const content = new PieceList(length * 2 + 2)
    const words = new DataView(chunk.buffer, chunk.byteOffset, length)
    let state: State = this.#state
    // Bytes from here to the present position are content, to be taken as they stand.
    let from = 0
    let at = 0
    while (at < length) {
      const byte = chunk[at]
      switch (state) {
        case states.inLine: {
          let current: number | undefined = byte
          while (current !== 13 && current !== 10) {
            at = controlFrom(chunk, words, at + 1)
            if (at === length) break
            current = chunk[at]
          }
          if (at === length) break
          if (current === 13 && chunk[at + 1] === 10) {
            // The ordinary line end stays part of the run.
            at += 2
            state = states.lineStart
            break
          }
          content.put(chunk, from, at)
          from = ++at
          if (current === 10) {
            content.put(crlf)
            this.stray = true
            state = states.lineStartAfterLf
          } else state = states.afterCr
          break
        }
        case states.afterCr:
          if (byte === 10) {
            content.put(crlf)
            from = ++at
            state = states.lineStart
          } else {
            content.put(space)
            this.stray = true
            from = at
            state = states.inLine
          }
          break
        case states.lineStart:
        case states.lineStartAfterLf:
          if (byte === 46) {
            content.put(chunk, from, at)
            from = ++at
            state = state === states.lineStart ? states.dot : states.dotAfterLf
          } else state = states.inLine
          break
        case states.dot:
        case states.dotAfterLf:
          if (byte === 13) {
            state = state === states.dot ? states.dotCr : states.dotCrAfterLf
            from = ++at
          } else if (byte === 10) {
            content.put(dotLine)
            this.stray = true
            state = states.lineStartAfterLf
            from = ++at
          } else {
            from = at
            state = states.inLine
          }
          break
        case states.dotCr:
        case states.dotCrAfterLf:
          if (byte === 10) {
            if (state === states.dotCr) {
              this.#state = states.ended
              return { content: content.pieces(), rest: chunk.subarray(at + 1) }
            }
            content.put(dotLine)
            state = states.lineStart
            from = ++at
            // The line goes on after the CR, so the dot was transparency and the CR is bare.
          } else state = states.afterCr
          break
        case states.ended:
          throw new Error('decode called after the end of data')
      }
    }
    content.put(chunk, from, length)
    this.#state = state
    return { content: content.pieces(), rest: undefined }
  }
}

/**
 * The first place from `at` on with a byte below 14, which all line ends are; else the length. Four bytes are looked at
 * in one step, for most of a message is text.
 */
function controlFrom(chunk: Buffer, words: DataView, at: number): number {
  const length = chunk.length
  let place = at
  for (const last = length - 4; place <= last; place += 4) {
    const word = words.getInt32(place, true)
    // In a byte below 14, and in none from 128 on, the subtraction sets the highest bit.
    if (((word - 0x0e0e0e0e) & ~word & 0x80808080) !== 0) break
  }
  while (place < length && chunk[place]! > 13) place++
  return place
}
