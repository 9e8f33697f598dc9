/**
 * Events that were taken over lately, so that a log that is read again (after a truncation, or from damaged state) does not
 * report them twice. The ingestion API has no event id: an event is known by all that it says, and by the queue id and the
 * address that its line names. An alias with two members makes two events that say the same.
 */
import { randomInt } from 'node:crypto'
import type { ApiEvent } from './api-event.ts'

export class RecentEvents {
  readonly #max: number
  /** Nobody outside can choose two events that look alike to us. */
  readonly #seed = randomInt(2 ** 32)
  #newer: DigestSet
  #older: DigestSet

  /** @param max remembered at least; at most twice as many */
  constructor(max: number) {
    this.#max = max
    this.#newer = new DigestSet(max)
    this.#older = new DigestSet(max)
  }

  /**
   * Remembers it; whether it was new. Two that differ are taken for one in 10^15 cases once.
   * @param origin of the line that it comes from, as `originOf` gives it
   */
  add(event: ApiEvent, origin: string): boolean {
    const { message_id, event_type, timestamp, recipient, smtp_code, smtp_description } = event
    const digest = digest53(
      `${message_id}${event_type}${timestamp}${recipient} ${smtp_code} ${smtp_description} ${origin}`,
      this.#seed,
    )
    if (this.#newer.has(digest) || this.#older.has(digest)) return false
    this.#newer.add(digest)
    if (this.#newer.size >= this.#max) {
      const oldest = this.#older
      this.#older = this.#newer
      this.#newer = oldest
      this.#newer.clear()
    }
    return true
  }
}

/** A set of numbers outside of V8's heap, where each would be an object; for no more than it was made for. */
class DigestSet {
  /** At most four fifths of them taken; 0 is none. */
  readonly #places: Float64Array
  readonly #mask: number
  size = 0

  constructor(max: number) {
    this.#places = new Float64Array(2 ** Math.ceil(Math.log2(1.25 * max)))
    this.#mask = this.#places.length - 1
  }

  has(digest: number): boolean {
    return this.#places[this.#placeOf(digest)] === digest
  }

  /** What is not in it. */
  add(digest: number): void {
    this.#places[this.#placeOf(digest)] = digest
    this.size++
  }

  clear(): void {
    this.#places.fill(0)
    this.size = 0
  }

  #placeOf(digest: number): number {
    // Its low 32 bits are one of the two hashes.
    let place = (digest >>> 0) & this.#mask
    while (this.#places[place] !== 0 && this.#places[place] !== digest) place = (place + 1) & this.#mask
    return place
  }
}

/** Two multiplicative hashes of 32 bits that mix with one another, 53 bits of them. */
function digest53(text: string, seed: number): number {
  let first = 0xdeadbeef ^ seed
  let second = 0x41c6ce57 ^ seed
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    first = Math.imul(first ^ code, 2_654_435_761)
    second = Math.imul(second ^ code, 1_597_334_677)
  }
  first = Math.imul(first ^ (first >>> 16), 2_246_822_507) ^ Math.imul(second ^ (second >>> 13), 3_266_489_909)
  second = Math.imul(second ^ (second >>> 16), 2_246_822_507) ^ Math.imul(first ^ (first >>> 13), 3_266_489_909)
  return 4_294_967_296 * (2_097_151 & second) + (first >>> 0)
}
