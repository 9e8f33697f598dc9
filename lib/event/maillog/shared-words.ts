/** One string object for every occurrence of the same few words. */
import { keptText } from './kept-text.ts'

export class SharedWords {
  readonly #max: number
  #words = new Map<string, string>()

  /** @param max words kept; past it all are forgotten and learned anew */
  constructor(max: number) {
    this.#max = max
  }

  /** @param word latin1, perhaps part of a longer text; decoded as UTF-8 and copied when it is new */
  of(word: string): string {
    const known = this.#words.get(word)
    if (known !== undefined) return known
    if (this.#words.size >= this.#max) this.#words = new Map()
    const kept = keptText(word, 0, word.length)
    this.#words.set(Buffer.from(word, 'latin1').toString('latin1'), kept)
    return kept
  }
}
