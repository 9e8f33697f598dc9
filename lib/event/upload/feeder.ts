/**
 * Takes events from the queue, completes them from the records and uploads them in batches.
 *
 * Invariants:
 * - nothing leaves the queue before the destination took it over or it lies, synced, in the dead letters;
 * - taken = uploaded + dead-lettered + returned + held, in events, at any moment (metrics of these names).
 */
import type { Registry } from 'prom-client'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import type { MessageRecord } from '../../record/record.ts'
import type { TrackingEvent } from '../event.ts'
import { DeadLettersFull, type DeadLetter } from './dead-letters.ts'
import type { EventDestination, OutgoingEvent } from './event-destination.ts'
import { type DeadReason, FeederMeter, type FeederTotals } from './feeder-meter.ts'
import { FillingBatch } from './filling-batch.ts'
import type { Transport } from './transport.ts'
import { systemClock, type Clock } from './upload-gate.ts'
import type { Uploader, UploadOutcome } from './uploader.ts'

/** What the feeder sees of an entry of the queue. */
export interface SourceEntry {
  readonly partition: number
  readonly entryId: string
  /** Undefined when the entry can't be read as an event. */
  readonly event: TrackingEvent | undefined
  readonly raw: string
  /** How often it was handed out, this time included. */
  readonly deliveries: number
}

export interface EventSource {
  /** Up to `max` entries, none after `waitMs`. May reject while the queue is away. */
  take: (max: number, waitMs: number) => Promise<readonly SourceEntry[]>
  /** Removes entries for good. May reject, and is then asked again. */
  done: (entries: readonly SourceEntry[]) => Promise<void>
  /** Whether nothing will come any more. Absent: there is always more to come. */
  readonly ended?: () => boolean
}

export interface RecordSource {
  getMany: (messageIds: readonly string[]) => Promise<ReadonlyMap<string, MessageRecord>>
}

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
}

interface Waiting {
  readonly entry: SourceEntry
  readonly event: TrackingEvent
  /** When it goes without a record. */
  readonly untilMs: number
}

/** Entries asked for at once. */
const takeMax = 1_000
/** Events that wait for their record at once; further ones go without. */
const waitingMax = 50_000
/** How often records are asked for again. */
const recordRetryMs = 2_000
/** Longest that `take` blocks: how late a stop is noticed. */
const takeWaitMsMax = 500
/** An event this close to the bound of its age is sent at once. */
const urgentMs = 3_600_000
/** How often what failed (queue away, dead letters full) is tried again. */
const retryMs = 1_000
/** How long a batch may stay of unknown fate at the service. */
const verifyMsMax = 10 * 60_000
const verifyFirstMs = 500
const verifyEveryMsMax = 10_000
/** What a batch under way has left when the process is to stop. */
const stopGraceMs = 4_000

export class Feeder {
  readonly #options: FeederOptions
  readonly #clock: Clock
  readonly #stop = new AbortController()
  readonly #filling: FillingBatch<HeldEvent>
  readonly #urgent: FillingBatch<HeldEvent>
  /** Full batches for which no upload is free. */
  readonly #ready: HeldEvent[][] = []
  readonly #uploads = new Set<Promise<void>>()
  #waiting: Waiting[] = []
  #recordsAskedAt = 0
  /** Entries between `take` and their end, so that one handed out twice to this process is one. */
  readonly #held = new Set<string>()
  readonly #meter: FeederMeter
  #finished: Promise<void> | undefined

  constructor(options: FeederOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    const { batchBytes, batchAgeMs } = options.limits
    this.#filling = new FillingBatch(batchBytes, batchAgeMs)
    this.#urgent = new FillingBatch(batchBytes, 0)
    this.#meter = new FeederMeter(options.metrics, () => this.#held.size)
  }

  /** Runs until `stop`, or until a source that ends has ended and all is settled. */
  run(): Promise<void> {
    return (this.#finished ??= this.#run())
  }

  /** Uploads what is collected, leaves the rest in the queue. Settles within about six seconds. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#options.uploader.stop(stopGraceMs)
    await this.run()
  }

  /** What became of the events so far, for a log line. */
  totals(): FeederTotals {
    return this.#meter.totals()
  }

  get #stopping(): boolean {
    return this.#stop.signal.aborted
  }

  async #run(): Promise<void> {
    const { source, log } = this.#options
    while (!this.#stopping) {
      await this.#askForRecords()
      this.#dispatchDue()
      if (this.#ready.length > 0) {
        // Nothing more is taken than can be sent.
        await Promise.race(this.#uploads)
        continue
      }
      if (source.ended?.() === true) break
      try {
        const entries = await source.take(takeMax, this.#takeWaitMs())
        await this.#admit(entries)
      } catch (error) {
        log.debug({ reason: (error as Error).message }, 'nothing taken, the queue is away')
        await this.#clock.wait(retryMs, this.#stop.signal)
      }
    }
    await this.#finish()
  }

  async #finish(): Promise<void> {
    if (this.#stopping) {
      this.#return(this.#waiting)
      this.#waiting = []
    }
    while (this.#waiting.length > 0 && !this.#stopping) {
      await this.#clock.wait(recordRetryMs, this.#stop.signal)
      await this.#askForRecords()
    }
    for (const batch of [this.#urgent, this.#filling]) this.#ready.push(...batch.drain())
    while (this.#ready.length > 0 || this.#uploads.size > 0) {
      this.#startUploads()
      await Promise.race(this.#uploads)
    }
  }

  #takeWaitMs(): number {
    const now = this.#clock.now()
    const due = Math.min(this.#filling.dueMs(now), this.#waiting.length > 0 ? recordRetryMs : takeWaitMsMax)
    return Math.max(1, Math.min(takeWaitMsMax, due))
  }

  async #admit(entries: readonly SourceEntry[]): Promise<void> {
    const now = this.#clock.now()
    const { limits } = this.#options
    const readable: { entry: SourceEntry; event: TrackingEvent }[] = []
    const dead: { entry: SourceEntry; reason: string; kind: DeadReason }[] = []
    for (const entry of entries) {
      const key = heldKey(entry)
      if (this.#held.has(key)) continue
      this.#held.add(key)
      this.#meter.taken(entry.deliveries)
      const { event } = entry
      if (event === undefined) dead.push({ entry, reason: 'not readable as an event', kind: 'unreadable' })
      else if (now - event.at > limits.eventAgeMsMax) dead.push({ entry, reason: this.#tooOld(), kind: 'too-old' })
      else readable.push({ entry, event })
    }
    if (dead.length > 0) this.#track(this.#bury(dead))
    const records = await this.#recordsOf(readable.map(({ event }) => event))
    for (const { entry, event } of readable) {
      const record = records?.get(event.messageId)
      const untilMs = Math.min(event.at, now) + limits.recordWaitMs
      const urgent = now - event.at > limits.eventAgeMsMax - urgentMs
      const waits = !urgent && now < untilMs && !isComplete(event, record) && this.#waiting.length < waitingMax
      if (waits) this.#waiting.push({ entry, event, untilMs })
      else this.#add(entry, event, record, urgent)
    }
    this.#dispatchDue()
  }

  /** The records of these events' messages; undefined while the store is away. */
  async #recordsOf(events: readonly TrackingEvent[]): Promise<ReadonlyMap<string, MessageRecord> | undefined> {
    if (events.length === 0) return undefined
    try {
      return await this.#options.records.getMany([...new Set(events.map(event => event.messageId))])
    } catch (error) {
      this.#options.log.debug({ reason: (error as Error).message }, 'records not read')
      return undefined
    }
  }

  async #askForRecords(): Promise<void> {
    const now = this.#clock.now()
    if (this.#waiting.length === 0 || now - this.#recordsAskedAt < recordRetryMs) return
    this.#recordsAskedAt = now
    const still: Waiting[] = []
    for (let start = 0; start < this.#waiting.length; start += takeMax) {
      const part = this.#waiting.slice(start, start + takeMax)
      const records = await this.#recordsOf(part.map(({ event }) => event))
      for (const waiting of part) {
        const { entry, event, untilMs } = waiting
        const record = records?.get(event.messageId)
        if (now < untilMs && !isComplete(event, record)) still.push(waiting)
        else this.#add(entry, event, record, false)
      }
    }
    this.#waiting = still
  }

  #add(entry: SourceEntry, event: TrackingEvent, record: MessageRecord | undefined, urgent: boolean): void {
    let line: string
    try {
      line = this.#options.destination.line(event, record)
    } catch (error) {
      this.#track(this.#bury([{ entry, reason: (error as Error).message, kind: 'no-form' }]))
      return
    }
    if (record === undefined) this.#meter.withoutRecord()
    const { partition, entryId, raw, deliveries } = entry
    // The parsed event is not needed any more; tens of thousands may be held.
    const slim: SourceEntry = { partition, entryId, event: undefined, raw, deliveries }
    const held: HeldEvent = { entry: slim, line, bytes: Buffer.byteLength(line), at: event.at, id: event.id }
    const full = (urgent ? this.#urgent : this.#filling).add(held, this.#clock.now())
    if (full) this.#ready.push(full)
  }

  #dispatchDue(): void {
    const now = this.#clock.now()
    // Those that would grow too old go first.
    this.#ready.unshift(...this.#urgent.drain())
    if (this.#filling.dueMs(now) <= 0) this.#ready.push(...this.#filling.drain())
    this.#startUploads()
  }

  #startUploads(): void {
    while (this.#uploads.size < this.#options.limits.uploadsMax) {
      const batch = this.#ready.shift()
      if (!batch) return
      this.#track(this.#upload(batch))
    }
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) =>
        this.#options.log.error({ err: error }, 'unexpected failure, events stay in the queue'),
      )
      .finally(() => this.#uploads.delete(tracked))
    this.#uploads.add(tracked)
  }

  async #upload(batch: readonly HeldEvent[]): Promise<void> {
    const { uploader, verify, destination } = this.#options
    let rest: readonly HeldEvent[] = batch
    while (rest.length > 0) {
      const outcome = await uploader.upload(rest)
      rest = []
      this.#return(outcome.unsent)
      // First what is well: room in the dead letters may be long in coming.
      if (verify && destination.batchStatus) rest = await this.#verified(outcome)
      else await this.#acknowledge(outcome.accepted)
      await this.#bury(
        outcome.refused.map(({ item, reason }) => ({ entry: item.entry, reason, kind: this.#kindOf(reason) })),
      )
    }
  }

  /** Waits for the service's word on what it accepted; yields what is to be sent again. */
  async #verified(outcome: UploadOutcome<HeldEvent>): Promise<readonly HeldEvent[]> {
    const named = new Set(outcome.batches.flatMap(({ items }) => items))
    await this.#acknowledge(outcome.accepted.filter(item => !named.has(item)))
    const again: HeldEvent[] = []
    for (const { id, items } of outcome.batches) {
      const status = await this.#statusOf(id)
      if (status.state === 'retryable' && !this.#stopping) {
        this.#options.log.warn({ batch: id, reason: status.reason }, 'batch failed after acceptance, sent again')
        again.push(...items)
      } else if (status.state === 'failed') {
        const { ids, reason } = status
        const failed = items.filter(item => ids === undefined || ids.has(item.id))
        await this.#acknowledge(items.filter(item => ids !== undefined && !ids.has(item.id)))
        await this.#bury(failed.map(({ entry }) => ({ entry, reason, kind: 'failed-later' })))
      } else if (status.state === 'retryable') {
        this.#return(items)
      } else await this.#acknowledge(items)
    }
    return again
  }

  async #statusOf(batchId: string) {
    const { destination, transport, log } = this.#options
    const deadline = this.#clock.now() + verifyMsMax
    for (let waitMs = verifyFirstMs; ; waitMs = Math.min(verifyEveryMsMax, 2 * waitMs)) {
      await this.#clock.wait(waitMs, this.#stop.signal)
      const status = await destination.batchStatus!(batchId, transport)
      if (status.state !== 'unknown') return status
      if (this.#stopping || this.#clock.now() >= deadline) {
        log.warn({ batch: batchId }, 'the service does not say what became of the batch, taken as accepted')
        return status
      }
    }
  }

  /** Writes to the dead letters and takes out of the queue; waits for room as long as it takes. */
  async #bury(dead: readonly { entry: SourceEntry; reason: string; kind: DeadReason }[]): Promise<void> {
    if (dead.length === 0) return
    const { deadLetters, health, log } = this.#options
    const letters = dead.map(({ entry, reason }) => ({ reason, raw: entry.raw }))
    for (;;) {
      try {
        await deadLetters.append(letters, this.#clock.now())
        health.set('dead-letters', undefined)
        break
      } catch (error) {
        const reason = (error as Error).message
        health.set('dead-letters', reason)
        if (!(error instanceof DeadLettersFull)) log.error({ reason }, 'dead letters not written, trying again')
        if (this.#stopping) {
          this.#return(dead)
          return
        }
        await this.#clock.wait(retryMs, this.#stop.signal)
      }
    }
    log.warn({ events: dead.length, reason: dead[0]?.reason }, 'events put to the dead letters')
    for (const { kind } of dead) this.#meter.deadLettered(kind)
    await this.#remove(dead.map(({ entry }) => entry))
  }

  async #acknowledge(events: readonly HeldEvent[]): Promise<void> {
    if (events.length === 0) return
    this.#meter.uploaded(events.length)
    await this.#remove(events.map(({ entry }) => entry))
  }

  /** Takes entries out of the queue. While it is away they are held: handed out again they would be sent again. */
  async #remove(entries: readonly SourceEntry[]): Promise<void> {
    for (;;) {
      try {
        await this.#options.source.done(entries)
        this.#options.health.set('queue', undefined)
        break
      } catch (error) {
        if (this.#stopping) break
        this.#options.health.set('queue', 'Redis does not take back events that were uploaded: check that it runs')
        this.#options.log.debug({ reason: (error as Error).message }, 'not removed from the queue yet')
        await this.#clock.wait(retryMs, this.#stop.signal)
      }
    }
    for (const entry of entries) this.#held.delete(heldKey(entry))
  }

  /** Leaves entries in the queue. */
  #return(entries: readonly { entry: SourceEntry }[]): void {
    this.#meter.returned(entries.length)
    for (const { entry } of entries) this.#held.delete(heldKey(entry))
  }

  #tooOld(): string {
    return tooOldReason(this.#options.limits.eventAgeMsMax)
  }

  #kindOf(reason: string): DeadReason {
    return reason === this.#tooOld() ? 'too-old' : 'refused'
  }
}

/** Why an event is not sent for its age. */
export function tooOldReason(ageMsMax: number): string {
  return `older than ${Math.round(ageMsMax / 360_000) / 10} hours, which the service drops`
}

function heldKey({ partition, entryId }: SourceEntry): string {
  return `${partition}:${entryId}`
}

/** Whether nothing is worth waiting for: outcomes of deliveries say themselves whom they concern. */
function isComplete(event: TrackingEvent, record: MessageRecord | undefined): boolean {
  return record?.recipient !== undefined || 'recipient' in event
}
