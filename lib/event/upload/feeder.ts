/**
 * Takes events from the queue, completes them from the records and uploads them in batches.
 *
 * No more is taken while full batches wait for an upload, or dead letters for room, but for one `take` ahead. What holds of
 * each entry says `Settlement`.
 */
import type { Registry } from 'prom-client'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { verifyBatches } from './batch-verifier.ts'
import type { DeadLetter } from './dead-letters.ts'
import type { EventDestination, OutgoingEvent } from './event-destination.ts'
import type { EnrichedEntry, EventSource, ReadableEntry, RecordSource, SourceEntry } from './event-source.ts'
import type { DeadReason, FeederTotals } from './feeder-meter.ts'
import { FillingBatch } from './filling-batch.ts'
import { recordRetryMs, RecordRoom } from './record-room.ts'
import { Settlement, type Dead } from './settlement.ts'
import type { Transport } from './transport.ts'
import { systemClock, type Clock } from './upload-gate.ts'
import type { Uploader } from './uploader.ts'

export interface FeederLimits {
  /** Of a request, before compression. */
  readonly batchBytes: number
  /** How long the first event of a batch waits for company. */
  readonly batchAgeMs: number
  /** How long after it happened an event waits for the record of its message. */
  readonly recordWaitMs: number
  /** Uploads under way at once. */
  readonly uploadsMax: number
  /** Age above which an event goes to the dead letters. */
  readonly eventAgeMsMax: number
}

export interface FeederOptions {
  readonly source: EventSource
  readonly records: RecordSource
  readonly destination: EventDestination
  readonly uploader: Uploader<HeldEvent>
  readonly transport: Transport
  readonly deadLetters: { append: (letters: readonly DeadLetter[], nowMs: number) => Promise<void> }
  readonly limits: FeederLimits
  /** Ask the service what became of each batch before it counts as uploaded. */
  readonly verify: boolean
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  readonly clock?: Clock
}

/** An event between queue and destination. */
export interface HeldEvent extends OutgoingEvent {
  readonly entry: SourceEntry
  /** Size of the text that was queued, about. */
  readonly keptBytes: number
}

/** Entries asked for at once. */
const takeMax = 1_000
/** Longest that `take` blocks: how late a stop is noticed. */
const takeWaitMsMax = 500
/** The same for entries taken ahead: what comes later is for the next round, which knows when batches come of age. */
const aheadWaitMs = 1
/** An event this close to the bound of its age is sent at once. */
const urgentMs = 3_600_000
/** How long the loop waits when nothing can be taken, or for something to end. */
const retryMs = 1_000
/** Groups of dead letters that are being written at once. */
const buryingMax = 8
/** How often a batch that was lost after its acceptance is sent again. */
const resendsMax = 5
/** What a batch under way has left when the process is to stop. */
const stopGraceMs = 4_000

export class Feeder {
  readonly #options: FeederOptions
  readonly #clock: Clock
  readonly #stop = new AbortController()
  /** Some time after `#stop`: what is still asked is given up. */
  readonly #abandon = new AbortController()
  readonly #room: RecordRoom
  readonly #filling: FillingBatch<HeldEvent>
  readonly #urgent: FillingBatch<HeldEvent>
  /** Full batches for which no upload is free. */
  readonly #ready: HeldEvent[][] = []
  readonly #uploads = new Set<Promise<void>>()
  readonly #burying = new Set<Promise<void>>()
  readonly #settlement: Settlement
  /** What is being taken while the entries before it are completed. */
  #ahead: Promise<readonly SourceEntry[]> | undefined
  #noteProgress: () => void = () => undefined
  #finished: Promise<void> | undefined

  constructor(options: FeederOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    const { batchBytes, batchAgeMs, recordWaitMs, eventAgeMsMax } = options.limits
    this.#room = new RecordRoom(
      options.records,
      recordWaitMs,
      (event, nowMs) => nowMs - event.at > eventAgeMsMax - urgentMs,
      this.#clock,
    )
    this.#filling = new FillingBatch(batchBytes, batchAgeMs)
    this.#urgent = new FillingBatch(batchBytes, 0)
    this.#settlement = new Settlement({ ...options, clock: this.#clock, stopping: this.#stop.signal })
  }

  /** Runs until `stop`, or until a source that ends has ended and all is settled. */
  run(): Promise<void> {
    return (this.#finished ??= this.#run())
  }

  /** Uploads what is collected, leaves the rest in the queue. Settles within about six seconds. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#options.uploader.stop(stopGraceMs)
    const ended = new AbortController()
    void this.#clock.wait(stopGraceMs, ended.signal).then(() => this.#abandon.abort())
    await this.run()
    ended.abort()
  }

  /** What became of the events so far, for a log line. */
  totals(): FeederTotals {
    return this.#settlement.meter.totals()
  }

  get #stopping(): boolean {
    return this.#stop.signal.aborted
  }

  async #run(): Promise<void> {
    const { log } = this.#options
    while (!this.#stopping) {
      this.#add(await this.#room.ask())
      this.#dispatchDue()
      if (this.#ready.length > 0 || this.#burying.size >= buryingMax) {
        await this.#someProgress()
        continue
      }
      try {
        const entries = await this.#takeNext()
        if (entries === undefined) break
        await this.#admit(entries)
      } catch (error) {
        log.debug({ reason: (error as Error).message }, 'nothing taken, the queue is away')
        await this.#clock.wait(retryMs, this.#stop.signal)
      }
    }
    await this.#finish()
  }

  /** The next entries; undefined when the source has ended. While they are completed those after them are on their way. */
  async #takeNext(): Promise<readonly SourceEntry[] | undefined> {
    const { source } = this.#options
    const hasEnded = () => source.ended?.() === true
    if (this.#ahead === undefined && hasEnded()) return undefined
    const taking = this.#ahead ?? source.take(takeMax, this.#takeWaitMs())
    this.#ahead = undefined
    const entries = await taking
    if (entries.length > 0 && !this.#stopping && !hasEnded()) {
      this.#ahead = source.take(takeMax, aheadWaitMs)
      // Told when it is asked for.
      this.#ahead.catch(() => undefined)
    }
    return entries
  }

  async #finish(): Promise<void> {
    // What was taken ahead stays in the queue.
    await this.#ahead?.catch(() => undefined)
    while (this.#room.size > 0 && !this.#stopping) {
      await this.#clock.wait(recordRetryMs, this.#stop.signal)
      this.#add(await this.#room.ask())
    }
    this.#settlement.returned(entriesOf(this.#room.leave()))
    for (const batch of [this.#urgent, this.#filling]) this.#ready.push(...batch.drain())
    for (;;) {
      this.#startUploads()
      const work = [...this.#uploads, ...this.#burying]
      if (work.length === 0) return
      await Promise.race(work)
    }
  }

  /** Settles when an upload or a burial has ended, or after a while, for batches may have come of age meanwhile. */
  async #someProgress(): Promise<void> {
    // Not by racing the uploads: in a long outage each round would leave something hanging on them.
    const progress = new AbortController()
    this.#noteProgress = () => progress.abort()
    await this.#clock.wait(retryMs, progress.signal)
  }

  #takeWaitMs(): number {
    const dueMs = this.#filling.dueMs(this.#clock.elapsed())
    return Math.max(1, Math.min(takeWaitMsMax, dueMs))
  }

  async #admit(entries: readonly SourceEntry[]): Promise<void> {
    const now = this.#clock.now()
    const { eventAgeMsMax } = this.#options.limits
    const readable: ReadableEntry[] = []
    const dead: Dead[] = []
    for (const entry of entries) {
      if (!this.#settlement.taken(entry)) continue
      const { event, fault } = entry
      if (event === undefined) dead.push({ entry, reason: `not readable as an event: ${fault}`, kind: 'unreadable' })
      else if (now - event.at > eventAgeMsMax) dead.push({ entry, reason: this.#tooOld(), kind: 'too-old' })
      else readable.push({ entry, event })
    }
    this.#startBurying(dead)
    if (readable.length > 0) this.#add(await this.#room.enter(readable))
  }

  /** Puts events into batches. */
  #add(entries: readonly EnrichedEntry[]): void {
    const { destination, limits } = this.#options
    const now = this.#clock.now()
    const elapsedMs = this.#clock.elapsed()
    const dead: Dead[] = []
    for (const { entry, event, record } of entries) {
      let line: string
      try {
        line = destination.line(event, record)
      } catch (error) {
        dead.push({ entry, reason: (error as Error).message, kind: 'no-form' })
        continue
      }
      if (record === undefined) this.#settlement.meter.withoutRecord()
      const { partition, entryId, raw, isRepeat } = entry
      // The parsed event is not needed any more; tens of thousands may be held.
      const slim: SourceEntry = { partition, entryId, event: undefined, raw, isRepeat }
      const { at, id } = event
      const held: HeldEvent = { entry: slim, line, bytes: Buffer.byteLength(line), keptBytes: raw.length, at, id }
      const urgent = now - event.at > limits.eventAgeMsMax - urgentMs
      const full = (urgent ? this.#urgent : this.#filling).add(held, elapsedMs)
      if (full) this.#ready.push(full)
    }
    this.#startBurying(dead)
  }

  #dispatchDue(): void {
    // Those that would grow too old go first.
    this.#ready.unshift(...this.#urgent.drain())
    if (this.#filling.dueMs(this.#clock.elapsed()) <= 0) this.#ready.push(...this.#filling.drain())
    this.#startUploads()
  }

  #startUploads(): void {
    while (this.#uploads.size < this.#options.limits.uploadsMax) {
      const batch = this.#ready.shift()
      if (!batch) return
      this.#track(this.#uploads, this.#upload(batch))
    }
  }

  #startBurying(dead: readonly Dead[]): void {
    if (dead.length > 0) this.#track(this.#burying, this.#settlement.bury(dead))
  }

  #track(kind: Set<Promise<void>>, work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) =>
        this.#options.log.error({ err: error }, 'unexpected failure, events stay in the queue'),
      )
      .finally(() => {
        kind.delete(tracked)
        this.#noteProgress()
      })
    kind.add(tracked)
  }

  async #upload(batch: readonly HeldEvent[]): Promise<void> {
    const { uploader, verify, destination, transport, log } = this.#options
    const verifier = {
      destination,
      transport,
      log,
      clock: this.#clock,
      stopping: this.#stop.signal,
      abandon: this.#abandon.signal,
    }
    let rest: readonly HeldEvent[] = batch
    for (let resends = 0; rest.length > 0; resends++) {
      const outcome = await uploader.upload(rest)
      this.#settlement.returned(entriesOf(outcome.unsent))
      const { accepted, lost, failed } =
        verify && destination.batchStatus
          ? await verifyBatches(outcome, verifier)
          : { accepted: outcome.accepted, lost: [], failed: [] }
      // First what is well: room in the dead letters may be long in coming.
      await this.#settlement.uploaded(entriesOf(accepted))
      const dead = outcome.refused.map(({ item, reason }): Dead => ({
        entry: item.entry,
        reason,
        kind: this.#kindOf(reason),
      }))
      dead.push(...failed.map(({ item, reason }): Dead => ({ entry: item.entry, reason, kind: 'failed-later' })))
      rest = lost
      if (rest.length > 0 && this.#stopping) {
        this.#settlement.returned(entriesOf(rest))
        rest = []
      } else if (resends === resendsMax) {
        const reason = `lost by the service after acceptance, ${resendsMax + 1} times`
        dead.push(...rest.map(({ entry }): Dead => ({ entry, reason, kind: 'failed-later' })))
        rest = []
      }
      await this.#settlement.bury(dead)
    }
  }

  #tooOld(): string {
    return tooOldReason(this.#options.limits.eventAgeMsMax)
  }

  #kindOf(reason: string): DeadReason {
    return reason === this.#tooOld() ? 'too-old' : 'refused'
  }
}

function entriesOf(held: readonly { readonly entry: SourceEntry }[]): SourceEntry[] {
  return held.map(({ entry }) => entry)
}

/** Why an event is not sent for its age. */
export function tooOldReason(ageMsMax: number): string {
  return `older than ${Math.round(ageMsMax / 360_000) / 10} hours, which the service drops`
}
