/** Finds the lines that delimit parts in a stream, however it is cut. */
import type { ByteWindow } from './byte-window.ts'
import { Delimiters, hashed, type DelimiterMeaning } from './delimiters.ts'

export interface FoundDelimiter extends DelimiterMeaning {
  /** Where the body before it ends: the line end before a delimiter belongs to it. */
  readonly start: number
  /** Behind its line. */
  readonly end: number
}

const cr = 0x0d
const lf = 0x0a
const dash = 0x2d
const space = 0x20
const tab = 0x09
const delimiterStart = Buffer.from('\r\n--')

export class DelimiterSearch {
  readonly delimiters = new Delimiters()
  readonly #window: ByteWindow
  #from = 0
  /** `#from` is the beginning of a line whose line end before it is not to be looked at. */
  #atLine = true
  #clear = 0
  /** Of the line that was looked at last, without white space at its end. */
  #lineHash = 0

  constructor(window: ByteWindow) {
    this.#window = window
  }

  /** No byte before this place belongs to a delimiter. */
  get clear(): number {
    return this.#clear
  }

  /** Starts anew at the beginning of a line. */
  lookFrom(place: number): void {
    this.#from = place
    this.#clear = place
    this.#atLine = true
  }

  /**
   * The next delimiter; undefined when there is none in the bytes at hand. Then it can be asked again when more came.
   *
   * @param final no more bytes will come
   */
  next(final: boolean): FoundDelimiter | undefined {
    const window = this.#window
    if (this.delimiters.depth === 0) {
      this.#clear = window.end
      this.#from = window.end
      this.#atLine = false
      return undefined
    }
    for (;;) {
      const start = this.#atLine ? this.#from : this.#candidateFrom(this.#from)
      if (start === -1) {
        this.#clear = Math.max(this.#clear, final ? window.end : this.#tail())
        this.#from = this.#clear
        return undefined
      }
      this.#clear = start
      this.#from = start
      const line = this.#atLine ? start : start + 2
      const end = this.#lineEnd(line)
      // One byte more than the longest line may be its CR.
      if (end === undefined && !final && window.end - line <= this.delimiters.lineBytesMax + 1) return undefined
      const meaning = this.#meaningOf(line, end)
      if (meaning) return { ...meaning, start, end: end === undefined ? window.end : end + 2 }
      // Nothing before the line's end is another candidate; of a line that is too long the end is not known.
      this.#from = end ?? line
      this.#atLine = false
      this.#clear = this.#from
    }
  }

  /** Where the next line begins, with the line end before it, that begins as a delimiter does; -1 when there is none. */
  #candidateFrom(from: number): number {
    const window = this.#window
    const isHere =
      from + 4 <= window.end &&
      window.byte(from) === cr &&
      window.byte(from + 1) === lf &&
      window.byte(from + 2) === dash &&
      window.byte(from + 3) === dash
    // A search takes longer than a look, and lines of dashes may follow each other by the hundred thousand.
    return isHere ? from : window.indexOf(delimiterStart, from)
  }

  /** Where the line ends that begins there; undefined when it is not complete or too long. Reckons its hash. */
  #lineEnd(line: number): number | undefined {
    const window = this.#window
    const last = Math.min(window.end - 1, line + this.delimiters.lineBytesMax)
    let hash = 0
    this.#lineHash = 0
    for (let at = line; at <= last; at++) {
      const byte = window.byte(at)
      if (byte === cr && at + 1 < window.end && window.byte(at + 1) === lf) return at
      hash = hashed(hash, byte)
      if (byte !== space && byte !== tab) this.#lineHash = hash
    }
    return undefined
  }

  #meaningOf(line: number, lineEnd: number | undefined): DelimiterMeaning | undefined {
    const window = this.#window
    const end = lineEnd ?? window.end
    if (end - line > this.delimiters.lineBytesMax || end - line < 3) return undefined
    return this.delimiters.mayMean(this.#lineHash) ? this.delimiters.meaningOf(window.text(line, end)) : undefined
  }

  /** Where a delimiter may begin in the last bytes. */
  #tail(): number {
    const window = this.#window
    const from = Math.max(this.#from, window.end - 3)
    const last = window.text(from, window.end)
    for (let at = 0; at < last.length; at++) if ('\r\n-'.startsWith(last.slice(at))) return from + at
    return window.end
  }
}
