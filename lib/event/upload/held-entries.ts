/** Which entries of the queue are in hand, so that one that is handed out again meanwhile is known. */
import type { SourceEntry } from './event-source.ts'

export class HeldEntries {
  /** Ids by partition: a joined key a piece costs more than all else that is done with an entry here. */
  readonly #ids = new Map<number, Set<string>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @returns false when it was in hand already */
  add({ partition, entryId }: SourceEntry): boolean {
    let ids = this.#ids.get(partition)
    if (!ids) this.#ids.set(partition, (ids = new Set()))
    const before = ids.size
    if (ids.add(entryId).size === before) return false
    this.#size += 1
    return true
  }

  delete({ partition, entryId }: SourceEntry): void {
    if (this.#ids.get(partition)?.delete(entryId) === true) this.#size -= 1
  }
}
