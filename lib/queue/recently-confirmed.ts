/**
 * What Redis confirmed within the last few seconds, in case that it dies and takes that along.
 *
 * Redis answers before what it did is in its append-only file. With `appendfsync everysec` it puts the write off for up to
 * two seconds while a sync of the file is under way (flushAppendOnlyFile in its aof.c), so that even a kill, which leaves
 * all that was written, loses what was confirmed then. A power failure and the failover to a replica lose such a tail too.
 */

/** How long something is kept after it was confirmed, in milliseconds: those two seconds, and what the write takes. */
const keptMs = 3_000

interface Confirmed<Item> {
  readonly item: Item
  readonly bytes: number
  readonly runId: string
  readonly at: number
  /** Whether others have it too. */
  isHandedOut: boolean
}

export class RecentlyConfirmed<Item> {
  readonly #bytesMax: number
  readonly #now: () => number
  readonly #dropped: (item: Item) => void
  /** By time; those before `#first` are forgotten. (Array.shift would move all others, once they are many.) */
  #kept: (Confirmed<Item> | undefined)[] = []
  #first = 0
  #bytes = 0

  /**
   * @param bytesMax what is kept at most; beyond that the oldest is forgotten before its time
   * @param dropped told what is forgotten and was never given to anybody
   * @param now a clock in milliseconds
   */
  constructor(
    bytesMax: number,
    dropped: (item: Item) => void = () => undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#bytesMax = bytesMax
    this.#dropped = dropped
    this.#now = now
  }

  /** What is kept, in the unit that was given to `add`. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Keeps what was just confirmed, which is an answer as well.
   * @param runId which run of Redis confirmed it
   * @param sentAt when it was sent, by the clock
   */
  add(item: Item, bytes: number, runId: string, sentAt: number): void {
    this.#kept.push({ item, bytes, runId, at: this.#now(), isHandedOut: false })
    this.#bytes += bytes
    this.answered(runId, sentAt)
  }

  /**
   * Forgets what an answer shows to be safe: what the same run of Redis had confirmed long before it was asked. Time alone
   * shows nothing, for Redis may have been frozen.
   * @param sentAt when it was asked, by the clock
   */
  answered(runId: string, sentAt: number): void {
    for (; this.#first < this.#kept.length; this.#first++) {
      const oldest = this.#kept[this.#first]!
      const isSafe = oldest.runId === runId && oldest.at < sentAt - keptMs
      if (!isSafe && this.#bytes <= this.#bytesMax) break
      this.#bytes -= oldest.bytes
      this.#kept[this.#first] = undefined
      if (!oldest.isHandedOut) this.#dropped(oldest.item)
    }
    if (this.#first > this.#kept.length / 2) this.#keep(this.#all)
  }

  /** The first that was confirmed of what is kept. */
  get oldest(): Item | undefined {
    return this.#kept[this.#first]?.item
  }

  /** What was confirmed by other runs of Redis than this, by run, in that order: it may be lost. */
  ofOtherRuns(runId: string | undefined): ReadonlyMap<string, readonly Item[]> {
    const others = new Map<string, Item[]>()
    for (const confirmed of this.#all) {
      const { runId: run, item } = confirmed
      if (run === runId) continue
      confirmed.isHandedOut = true
      const items = others.get(run)
      if (items) items.push(item)
      else others.set(run, [item])
    }
    return others
  }

  /** Forgets what `ofOtherRuns` gave. */
  forget(items: readonly Item[]): void {
    const forgotten = new Set(items)
    this.#keep(this.#all.filter(({ item }) => !forgotten.has(item)))
  }

  get #all(): Confirmed<Item>[] {
    return this.#kept.slice(this.#first) as Confirmed<Item>[]
  }

  #keep(kept: Confirmed<Item>[]): void {
    this.#kept = kept
    this.#first = 0
    this.#bytes = kept.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}
