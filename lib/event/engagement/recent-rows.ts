/**
 * Rows of numbers, found by a fingerprint: at least the last ones asked for, in memory that is taken once and never grows.
 *
 * For what every request asks: no objects that the collector would have to carry, a request a few reads of memory.
 */

/** Slots a row, at least: fuller, and looking for what is not there takes long. */
const slotsPerRow = 1.3
/** What a new row holds; as a time it is so long ago that it means never. */
const never = -Infinity

export class RecentRows {
  /** The numbers of all rows; a row begins at the place that `find` and `add` return. */
  readonly values: Float64Array
  readonly #width: number
  readonly #generationMax: number
  readonly #slots: number
  /** Two numbers a slot; both 0: empty. */
  readonly #keys: Int32Array
  // Two generations: of one, the oldest row can't be found without a list of all. Each has half of the slots.
  #young = 0
  #youngCount = 0
  readonly #moved: Float64Array

  /**
   * @param rowsMax rows that are kept at most; at least the last ones of half as many are
   * @param width numbers a row
   */
  constructor(rowsMax: number, width: number) {
    this.#generationMax = Math.max(1, Math.floor(rowsMax / 2))
    this.#width = width
    this.#slots = 2 ** Math.ceil(Math.log2(this.#generationMax * slotsPerRow + 1))
    this.#keys = new Int32Array(4 * this.#slots)
    this.values = new Float64Array(2 * this.#slots * width)
    this.#moved = new Float64Array(width)
  }

  /** Where the row of a fingerprint begins, -1 when there is none. The place is good until the next call. */
  find(high: number, low: number): number {
    const slot = this.#slotOf(this.#young, high, low)
    if (this.#isTaken(slot)) return slot * this.#width
    const old = this.#slotOf(this.#young ^ this.#slots, high, low)
    return this.#isTaken(old) ? this.#enter(slot, high, low, old * this.#width) : -1
  }

  /** Makes the row of a fingerprint that has none, full of `never`. Returns where it begins. */
  add(high: number, low: number): number {
    return this.#enter(this.#slotOf(this.#young, high, low), high, low, -1)
  }

  /**
   * Puts a row into the young generation.
   * @param slot a free one
   * @param from where the row was in the old generation; -1: nowhere
   */
  #enter(slot: number, high: number, low: number, from: number): number {
    const { values } = this
    const row = this.#moved
    for (let at = 0; at < row.length; at++) row[at] = from < 0 ? never : values[from + at]!
    if (this.#youngCount >= this.#generationMax) {
      this.#young ^= this.#slots
      this.#youngCount = 0
      this.#keys.fill(0, 2 * this.#young, 2 * (this.#young + this.#slots))
      slot = this.#slotOf(this.#young, high, low)
    }
    this.#youngCount++
    this.#keys[2 * slot] = high
    this.#keys[2 * slot + 1] = low
    const start = slot * this.#width
    for (let at = 0; at < row.length; at++) values[start + at] = row[at]!
    return start
  }

  /** The slot of a generation that holds a fingerprint, or the free one where it would be. */
  #slotOf(generation: number, high: number, low: number): number {
    const keys = this.#keys
    const mask = this.#slots - 1
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const slot = generation + at
      const [foundHigh, foundLow] = [keys[2 * slot]!, keys[2 * slot + 1]!]
      if ((foundHigh === high && foundLow === low) || (foundHigh === 0 && foundLow === 0)) return slot
    }
  }

  #isTaken(slot: number): boolean {
    return this.#keys[2 * slot] !== 0 || this.#keys[2 * slot + 1] !== 0
  }
}
