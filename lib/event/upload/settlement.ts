/**
 * Sees each entry that the feeder took to its end: uploaded, dead-lettered or returned.
 *
 * Invariants:
 * - nothing leaves the queue before the destination took it over or it lies, synced, in the dead letters;
 * - taken = uploaded + dead-lettered + returned + held, in events, at any moment (metrics of these names).
 */
import type { Registry } from 'prom-client'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { DeadLettersFull, type DeadLetter } from './dead-letters.ts'
import type { EventSource, SourceEntry } from './event-source.ts'
import { type DeadReason, FeederMeter } from './feeder-meter.ts'
import { HeldEntries } from './held-entries.ts'
import type { Clock } from './upload-gate.ts'

export interface SettlementOptions {
  readonly source: EventSource
  readonly deadLetters: { append: (letters: readonly DeadLetter[], nowMs: number) => Promise<void> }
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  readonly clock: Clock
  /** Ends all waiting: what is not settled then stays in the queue. */
  readonly stopping: AbortSignal
}

/** An entry that can't be sent. */
export interface Dead {
  readonly entry: SourceEntry
  readonly reason: string
  readonly kind: DeadReason
}

/** How often what failed (queue away, dead letters full) is tried again. */
const retryMs = 1_000
/** Dead letters that are written together, in characters. They may be large, and a folder that is nearly full takes some. */
const buryCharsMax = 1_000_000

export class Settlement {
  readonly meter: FeederMeter
  readonly #options: SettlementOptions
  readonly #clock: Clock
  readonly #stopping: AbortSignal
  readonly #held = new HeldEntries()
  /** How many of these have met their end and are on their way out of the queue. */
  #leaving = 0

  constructor(options: SettlementOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#stopping = options.stopping
    this.meter = new FeederMeter(options.metrics, () => this.#held.size - this.#leaving)
  }

  /** @returns false for an entry that is in hand already */
  taken(entry: SourceEntry): boolean {
    if (!this.#held.add(entry)) return false
    this.meter.taken(entry.isRepeat)
    return true
  }

  /** Takes out of the queue what the destination took over. */
  async uploaded(entries: readonly SourceEntry[]): Promise<void> {
    if (entries.length === 0) return
    this.meter.uploaded(entries.length)
    await this.#remove(entries)
  }

  /** Leaves entries in the queue. */
  returned(entries: readonly SourceEntry[]): void {
    this.meter.returned(entries.length)
    for (const entry of entries) this.#held.delete(entry)
  }

  /** Writes to the dead letters and takes out of the queue; waits for room as long as it takes. */
  async bury(dead: readonly Dead[]): Promise<void> {
    for (let at = 0; at < dead.length;) {
      let end = at
      for (let chars = 0; end < dead.length && chars < buryCharsMax; end++) chars += dead[end]!.entry.raw.length
      if (!(await this.#buryTogether(dead.slice(at, end))))
        return this.returned(dead.slice(at).map(({ entry }) => entry))
      at = end
    }
  }

  /** @returns false when there was no room until the stop */
  async #buryTogether(dead: readonly Dead[]): Promise<boolean> {
    const { deadLetters, health, log } = this.#options
    const letters = dead.map(({ entry, reason }) => ({ reason, raw: entry.raw }))
    for (;;) {
      try {
        await deadLetters.append(letters, this.#clock.now())
        health.set('dead-letters', undefined)
        break
      } catch (error) {
        const reason = (error as Error).message
        const isFull = error instanceof DeadLettersFull
        const remedy = isFull ? ': replay or remove some, or raise --dead-letter-max-bytes' : ''
        health.set('dead-letters', `${reason}${remedy}`)
        if (!isFull) log.error({ reason }, 'dead letters not written, trying again')
        if (this.#stopping.aborted) return false
        await this.#clock.wait(retryMs, this.#stopping)
      }
    }
    log.warn({ events: dead.length, reason: dead[0]?.reason }, 'events put to the dead letters')
    for (const { kind } of dead) this.meter.deadLettered(kind)
    await this.#remove(dead.map(({ entry }) => entry))
    return true
  }

  /** Takes entries out of the queue. While it is away they are known: handed out again they would be sent again. */
  async #remove(entries: readonly SourceEntry[]): Promise<void> {
    this.#leaving += entries.length
    for (;;) {
      try {
        await this.#options.source.done(entries)
        this.#options.health.set('queue', undefined)
        break
      } catch (error) {
        if (this.#stopping.aborted) break
        this.#options.health.set('queue', 'Redis does not take back events that were uploaded: check that it runs')
        this.#options.log.debug({ reason: (error as Error).message }, 'not removed from the queue yet')
        await this.#clock.wait(retryMs, this.#stopping)
      }
    }
    for (const entry of entries) this.#held.delete(entry)
    this.#leaving -= entries.length
  }
}
