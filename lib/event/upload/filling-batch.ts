/** Collects events until they fill a request or the first of them has waited long enough. */
export interface Fillable {
  /** In the request, without its line end. */
  readonly bytes: number
  /** What is kept in memory of it beside that. */
  readonly keptBytes: number
}

/** By how much what is kept in memory of a batch may exceed its size; hardly ever reached. */
const keptPerByteMax = 3

export class FillingBatch<Item extends Fillable> {
  readonly #bytesMax: number
  readonly #ageMsMax: number
  #items: Item[] = []
  #bytes = 0
  #keptBytes = 0
  #openedAt = 0

  /** @param bytesMax of the lines with their line ends; a single longer line makes a batch of its own */
  constructor(bytesMax: number, ageMsMax: number) {
    this.#bytesMax = bytesMax
    this.#ageMsMax = ageMsMax
  }

  /**
   * Adds an item; yields what was collected before when the item does not fit any more.
   * @param elapsedMs by a clock that is never set
   */
  add(item: Item, elapsedMs: number): Item[] | undefined {
    const bytes = item.bytes + 1
    const fits =
      this.#bytes + bytes <= this.#bytesMax && this.#keptBytes + item.keptBytes <= this.#bytesMax * keptPerByteMax
    const full = this.#items.length > 0 && !fits ? this.#take() : undefined
    if (this.#items.length === 0) this.#openedAt = elapsedMs
    this.#items.push(item)
    this.#bytes += bytes
    this.#keptBytes += item.keptBytes
    return full
  }

  /** How long until it is to be sent, in ms; Infinity when empty. */
  dueMs(elapsedMs: number): number {
    return this.#items.length === 0 ? Infinity : this.#openedAt + this.#ageMsMax - elapsedMs
  }

  /** What is collected, as a list of one batch or none. */
  drain(): Item[][] {
    return this.#items.length === 0 ? [] : [this.#take()]
  }

  #take(): Item[] {
    const items = this.#items
    this.#items = []
    this.#bytes = 0
    this.#keptBytes = 0
    return items
  }
}
