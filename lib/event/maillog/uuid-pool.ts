/** UUIDs by number, outside of V8's heap. */

const uuidsMin = 64

export class UuidPool {
  /** Four words each; of one that is free the first is the number of the next such one. Number 0 is none. */
  #words = new Uint32Array(4 * uuidsMin)
  #used = 1
  #free = 0

  /** @returns its number, never 0 */
  take(uuid: Uint32Array): number {
    let number = this.#free
    if (number !== 0) this.#free = this.#words[4 * number]!
    else {
      number = this.#used++
      if (4 * number === this.#words.length) this.#grow()
    }
    this.#words.set(uuid, 4 * number)
    return number
  }

  /** A copy. */
  get(number: number): Uint32Array {
    return this.#words.slice(4 * number, 4 * number + 4)
  }

  /** Nothing where it is 0. */
  giveBack(number: number): void {
    if (number === 0) return
    this.#words[4 * number] = this.#free
    this.#free = number
  }

  #grow(): void {
    const words = new Uint32Array(2 * this.#words.length)
    words.set(this.#words)
    this.#words = words
  }
}
