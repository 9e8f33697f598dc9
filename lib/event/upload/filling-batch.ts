/** Collects events until they fill a request or the first of them has waited long enough. */
export class FillingBatch<Item extends { readonly bytes: number }> {
  readonly #bytesMax: number
  readonly #ageMsMax: number
  #items: Item[] = []
  #bytes = 0
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
    const full = this.#items.length > 0 && this.#bytes + bytes > this.#bytesMax ? this.#take() : undefined
    if (this.#items.length === 0) this.#openedAt = elapsedMs
    this.#items.push(item)
    this.#bytes += bytes
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
    return items
  }
}
