/** Entries that were read ahead and nobody has asked for yet, oldest first. */
import type { QueuedEvent } from './queue-entry.ts'

export class ReadyEntries {
  #entries: QueuedEvent[] = []
  #chars = 0

  get size(): number {
    return this.#entries.length
  }

  /** Characters of all their texts. */
  get chars(): number {
    return this.#chars
  }

  add(entries: readonly QueuedEvent[]): void {
    for (const entry of entries) {
      this.#entries.push(entry)
      this.#chars += entry.raw.length
    }
  }

  /** Gives away up to `max` of them: as many as have `charsMax` characters, one at least. */
  take(max: number, charsMax: number): QueuedEvent[] {
    let count = 0
    let chars = 0
    while (count < Math.min(max, this.#entries.length) && chars < charsMax) {
      chars += this.#entries[count]!.raw.length
      count++
    }
    this.#chars -= chars
    return this.#entries.splice(0, count)
  }

  /** Forgets those that are not to be kept. */
  keep(isKept: (entry: QueuedEvent) => boolean): void {
    const kept = this.#entries.filter(isKept)
    this.#entries = []
    this.#chars = 0
    this.add(kept)
  }
}
