/** Finds the lines that delimit parts in a stream, however it is cut. */
import type { ByteWindow } from './byte-window.ts'
import { Delimiters, type DelimiterMeaning } from './delimiters.ts'

export interface FoundDelimiter extends DelimiterMeaning {
  /** Where the body before it ends: the line end before a delimiter belongs to it. */
  readonly start: number
  /** Behind its line. */
  readonly end: number
}

const lineEnd = Buffer.from('\r\n')
const delimiterStart = Buffer.from('\r\n--')

export class DelimiterSearch {
  readonly delimiters = new Delimiters()
  readonly #window: ByteWindow
  #from = 0
  /** `#from` is the beginning of a line whose line end before it is not to be looked at. */
  #atLine = true
  #clear = 0

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
      const start = this.#atLine ? this.#from : window.indexOf(delimiterStart, this.#from)
      if (start === -1) {
        this.#clear = Math.max(this.#clear, final ? window.end : this.#tail())
        this.#from = this.#clear
        return undefined
      }
      this.#clear = start
      this.#from = start
      const line = this.#atLine ? start : start + 2
      const end = window.indexOf(lineEnd, line)
      const lineBytes = (end === -1 ? window.end : end) - line
      const tooLong = lineBytes > this.delimiters.lineBytesMax
      if (end === -1 && !final && !tooLong) return undefined
      const meaning = tooLong ? undefined : this.delimiters.meaningOf(window.text(line, line + lineBytes))
      if (meaning) return { ...meaning, start, end: end === -1 ? window.end : end + 2 }
      this.#from = line
      this.#atLine = false
      // A line that is too long and not complete: its end may be the beginning of the next candidate.
      this.#clear = line
    }
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
