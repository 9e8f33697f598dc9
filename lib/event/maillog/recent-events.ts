/**
 * Events that were taken over lately, so that a log that is read again (after a truncation, or from damaged state) does not
 * report them twice. The ingestion API has no event id: all that an event says is its identity.
 */
import { hash } from 'node:crypto'
import type { ApiEvent } from './api-event.ts'

export class RecentEvents {
  readonly #max: number
  #newer = new Set<number>()
  #older = new Set<number>()

  /** @param max remembered at least; at most twice as many */
  constructor(max: number) {
    this.#max = max
  }

  /** Remembers it; whether it was new. */
  add(event: ApiEvent): boolean {
    const digest = hash('sha1', JSON.stringify(event), 'buffer').readUIntBE(0, 6)
    if (this.#newer.has(digest) || this.#older.has(digest)) return false
    this.#newer.add(digest)
    if (this.#newer.size >= this.#max) {
      this.#older = this.#newer
      this.#newer = new Set()
    }
    return true
  }
}
