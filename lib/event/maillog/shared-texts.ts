/**
 * Texts that many records say alike, each kept once, outside of V8's heap: a receiver that is down answers a hundred
 * thousand recipients in the same words. A text is a number, counted: it goes when the last that took it gives it back.
 */
import { randomInt } from 'node:crypto'
import type { ByteBlocks } from './byte-blocks.ts'
import { HashIndex } from './hash-index.ts'

/** Places in a block; the text follows as UTF-8. */
const at = { hash: 0, uses: 4, textBytes: 8 } as const
const headerBytes = 12

export class SharedTexts {
  readonly #blocks: ByteBlocks
  readonly #index = new HashIndex(number => this.#u32(number, at.hash))
  readonly #seed = randomInt(2 ** 32)
  /** Taken last, which is mostly what is taken next; 0 when it is gone. */
  #lastText = ''
  #lastNumber = 0

  /** @param blocks where they are kept, perhaps with other things */
  constructor(blocks: ByteBlocks) {
    this.#blocks = blocks
  }

  /**
   * The number of a text, taken once more.
   * @param text without lone surrogates
   * @returns undefined when there is no room for it; never 0
   */
  take(text: string): number | undefined {
    if (this.#lastNumber === 0 || text !== this.#lastText) {
      const number = this.#find(text)
      if (number === undefined) return undefined
      this.#lastNumber = number
      // No view of a longer text.
      this.#lastText = this.get(number)
    }
    this.#setU32(this.#lastNumber, at.uses, this.#u32(this.#lastNumber, at.uses) + 1)
    return this.#lastNumber
  }

  /** The number of a text; of one that is new it has no uses yet. */
  #find(text: string): number | undefined {
    const hash = this.#hashOf(text)
    for (let place = this.#index.first(hash); place !== -1; place = this.#index.next(place, hash)) {
      const known = this.#index.valueAt(place)
      if (this.get(known) === text) return known
    }
    const textBytes = Buffer.byteLength(text)
    if (!this.#blocks.hasRoom(headerBytes + textBytes)) return undefined
    const number = this.#blocks.take(headerBytes + textBytes)
    this.#setU32(number, at.hash, hash)
    this.#setU32(number, at.uses, 0)
    this.#setU32(number, at.textBytes, textBytes)
    this.#blocks.page(number).write(text, this.#blocks.offset(number) + headerBytes)
    this.#index.add(number)
    return number
  }

  get(number: number): string {
    const from = this.#blocks.offset(number) + headerBytes
    return this.#blocks.page(number).toString('utf8', from, from + this.#u32(number, at.textBytes))
  }

  giveBack(number: number): void {
    const uses = this.#u32(number, at.uses) - 1
    if (uses > 0) return this.#setU32(number, at.uses, uses)
    if (number === this.#lastNumber) this.#lastNumber = 0
    this.#index.remove(number)
    this.#blocks.giveBack(number, headerBytes + this.#u32(number, at.textBytes))
  }

  #u32(number: number, field: number): number {
    return this.#blocks.page(number).readUInt32LE(this.#blocks.offset(number) + field)
  }

  #setU32(number: number, field: number, value: number): void {
    this.#blocks.page(number).writeUInt32LE(value, this.#blocks.offset(number) + field)
  }

  #hashOf(text: string): number {
    let hash = this.#seed
    for (let place = 0; place < text.length; place++) hash = Math.imul(hash ^ text.charCodeAt(place), 0x85eb_ca6b)
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2_ae35)
    return (hash ^ (hash >>> 13)) >>> 0
  }
}
