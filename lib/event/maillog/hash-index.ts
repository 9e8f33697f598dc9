/**
 * A hash table of numbers outside of V8's heap: which records may belong to a hash. Open addressing. It holds no hashes:
 * every record knows its own. What a hash stands for, and whether a record is the one that is looked for, is the owner's
 * matter.
 *
 *     for (let place = index.first(hash); place !== -1; place = index.next(place, hash)) { … index.valueAt(place) … }
 */

const bucketsMin = 1024

export class HashIndex {
  /** 0 is none. */
  #values = new Uint32Array(bucketsMin)
  #mask = bucketsMin - 1
  #size = 0
  readonly #hashOf: (value: number) => number

  /** @param hashOf the hash of a value, 32 bits without sign: the same from before it is added until after it is removed */
  constructor(hashOf: (value: number) => number) {
    this.#hashOf = hashOf
  }

  /** The first place with that hash, or -1. */
  first(hash: number): number {
    return this.#seek(hash & this.#mask, hash)
  }

  /** The next one, or -1. */
  next(place: number, hash: number): number {
    return this.#seek((place + 1) & this.#mask, hash)
  }

  valueAt(place: number): number {
    return this.#values[place]!
  }

  /** @param value 1 to 2^32 - 1, not in it yet; its hash is known by now */
  add(value: number): void {
    if (2 * this.#size > this.#mask) this.#grow()
    this.#size++
    this.#put(value)
  }

  /** Does nothing when it is not there. Its hash must still be known. */
  remove(value: number): void {
    const values = this.#values
    const mask = this.#mask
    let hole = this.#hashOf(value) & mask
    while (values[hole] !== value) {
      if (values[hole] === 0) return
      hole = (hole + 1) & mask
    }
    this.#size--
    // Those behind it move up, or a search would end at the hole.
    for (let at = (hole + 1) & mask; values[at] !== 0; at = (at + 1) & mask) {
      const home = this.#hashOf(values[at]!) & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      values[hole] = values[at]!
      hole = at
    }
    values[hole] = 0
  }

  #seek(from: number, hash: number): number {
    const values = this.#values
    for (let place = from; values[place] !== 0; place = (place + 1) & this.#mask) {
      if (this.#hashOf(values[place]!) === hash) return place
    }
    return -1
  }

  #put(value: number): void {
    const values = this.#values
    let place = this.#hashOf(value) & this.#mask
    while (values[place] !== 0) place = (place + 1) & this.#mask
    values[place] = value
  }

  #grow(): void {
    const before = this.#values
    this.#values = new Uint32Array(2 * before.length)
    this.#mask = this.#values.length - 1
    for (const value of before) if (value !== 0) this.#put(value)
  }
}
