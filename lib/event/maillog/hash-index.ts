/**
 * A hash table of numbers outside of V8's heap: which records may belong to a hash. Open addressing; what a hash stands for,
 * and whether a record is the one that is looked for, is the owner's matter.
 *
 *     for (let place = index.first(hash); place !== -1; place = index.next(place, hash)) { … index.valueAt(place) … }
 */

const bucketsMin = 1024

export class HashIndex {
  /** Pairs of hash and value; value 0 is none. */
  #pairs = new Uint32Array(2 * bucketsMin)
  #mask = bucketsMin - 1
  #size = 0

  /** The first place with that hash, or -1. */
  first(hash: number): number {
    return this.#seek(hash & this.#mask, hash)
  }

  /** The next one, or -1. */
  next(place: number, hash: number): number {
    return this.#seek((place + 1) & this.#mask, hash)
  }

  valueAt(place: number): number {
    return this.#pairs[2 * place + 1]!
  }

  /**
   * @param hash 32 bits without sign
   * @param value 1 to 2^32 - 1
   */
  add(hash: number, value: number): void {
    if (2 * this.#size > this.#mask) this.#grow()
    this.#size++
    this.#put(hash, value)
  }

  /** Does nothing when it is not there. */
  remove(hash: number, value: number): void {
    let place = this.first(hash)
    while (place !== -1 && this.valueAt(place) !== value) place = this.next(place, hash)
    if (place === -1) return
    this.#size--
    const pairs = this.#pairs
    const mask = this.#mask
    // Those behind it move up, or a search would end at the hole.
    let hole = place
    for (let at = (hole + 1) & mask; pairs[2 * at + 1] !== 0; at = (at + 1) & mask) {
      const home = pairs[2 * at]! & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      pairs[2 * hole] = pairs[2 * at]!
      pairs[2 * hole + 1] = pairs[2 * at + 1]!
      hole = at
    }
    pairs[2 * hole + 1] = 0
  }

  #seek(from: number, hash: number): number {
    const pairs = this.#pairs
    for (let place = from; pairs[2 * place + 1] !== 0; place = (place + 1) & this.#mask) {
      if (pairs[2 * place] === hash) return place
    }
    return -1
  }

  #put(hash: number, value: number): void {
    const pairs = this.#pairs
    let place = hash & this.#mask
    while (pairs[2 * place + 1] !== 0) place = (place + 1) & this.#mask
    pairs[2 * place] = hash
    pairs[2 * place + 1] = value
  }

  #grow(): void {
    const before = this.#pairs
    this.#pairs = new Uint32Array(2 * before.length)
    this.#mask = before.length - 1
    for (let at = 0; at < before.length; at += 2) if (before[at + 1] !== 0) this.#put(before[at]!, before[at + 1]!)
  }
}
