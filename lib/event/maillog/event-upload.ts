/** Sends pending events in batches, in order, and lets go of what was taken over. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, type Registry } from '../../process/prometheus.ts'
import type { Credential } from '../upload/credential.ts'
import { DeadLettersFull, type DeadLetters } from '../upload/dead-letters.ts'
import type { Destination } from '../upload/destination.ts'
import type { Uploader } from '../upload/uploader.ts'
import type { SegmentLog, SegmentRecord } from '../../durable/segment-log.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { decodePending, type PendingRecord } from './pending-record.ts'

/** Requests a minute that the service takes per key. */
const requestsPerMinuteMax = 10_000
/** Read at a time, in bytes: a few batches, for what is read lives in memory until it is sent. */
const readBytesMax = 128 << 10
const deadLetterRetryMs = 2_000
/** Time before the log of pending events is read again when it gave nothing though there is something in it. */
const readRetryMs = 1_000

/** Takes events as JSON. `POST …/custom-smtp/events` with the key in `X-SP-Event-ApiKey`. */
export function customSmtpEvents(url: string, key: Credential): Destination<string> {
  return {
    name: 'custom-smtp',
    url,
    encode: async events => {
      const body = Buffer.from(`{"events":[${events.join(',')}]}`)
      return { body, headers: { 'content-type': 'application/json' }, rawBytes: body.length }
    },
    credentials: () => ({ 'x-sp-event-apikey': key.value }),
    reloadCredentials: () => key.reload(),
    readAnswer: () => ({}),
  }
}

export interface EventUploadOptions {
  readonly pending: SegmentLog
  readonly uploader: Pick<Uploader<string>, 'upload' | 'stop'>
  readonly deadLetters: Pick<DeadLetters, 'append'>
  readonly batchEvents: number
  readonly batchAgeMs: number
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
}

/** A log, and a place in it. */
type ReadPosition = NonNullable<PendingRecord['read']>

/** A record of the log, or what is left of it. */
interface ReadRecord {
  readonly seq: number
  /** Each as JSON. */
  readonly events: string[]
  readonly read: ReadPosition | undefined
}

interface Batch {
  /** Each as JSON. */
  readonly events: string[]
  /** Where they were read, of the records that are in it whole. */
  readonly reads: ReadPosition[]
  /** All records through this one are in the batch whole. */
  throughSeq: number
}

export class EventUpload {
  /** Called before events leave the disk: the place behind them must be kept elsewhere by then, or they are read again. */
  beforeRelease: (reads: readonly ReadPosition[]) => Promise<void> = async () => undefined
  readonly #options: EventUploadOptions
  readonly #uploaded: Counter<'result'>
  readonly #stop = new AbortController()
  /** When the oldest event that is not sent was taken over, by the clock that is never set; undefined when all were. */
  #oldestMs: number | undefined
  #wake: (() => void) | undefined
  #done: Promise<void> | undefined
  /** Read from the log, not yet sent. */
  #read: ReadRecord[] = []
  #readSeq: number
  #waitingEvents = 0
  #endMs = Number.POSITIVE_INFINITY
  #isUnreadable = false

  constructor(options: EventUploadOptions) {
    this.#options = options
    this.#readSeq = options.pending.firstSeq - 1
    this.#uploaded = new Counter({
      name: 'agent_uploaded_events_total',
      help: 'Events that the ingestion API accepted, or refused for good (kept as dead letters).',
      labelNames: ['result'],
      registers: [options.metrics],
    })
  }

  start(): void {
    // What an earlier run left is late already.
    if (this.#options.pending.lastSeq > this.#readSeq) this.#oldestMs = Number.NEGATIVE_INFINITY
    this.#done ??= this.#run()
  }

  /** Events were appended to the log. */
  added(events: number): void {
    this.#oldestMs ??= performance.now()
    this.#waitingEvents += events
    if (this.#waitingEvents >= this.#options.batchEvents) this.#wake?.()
    else if (this.#wake && this.#waitingEvents === events) this.#wake()
  }

  /** Sends what there is, for at most `graceMs`, and ends. */
  async close(graceMs: number): Promise<void> {
    this.#endMs = performance.now() + graceMs
    this.#options.uploader.stop(graceMs)
    this.#stop.abort()
    this.#wake?.()
    await this.#done
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#untilDue()
      const batch = await this.#take()
      if (batch === undefined) {
        if (this.#stop.signal.aborted) return
        if (this.#oldestMs !== undefined) await this.#sleep(readRetryMs)
        continue
      }
      const startedMs = performance.now()
      const sent = await this.#send(batch)
      // What could not be sent stays in the log; the uploader only gives up when it is stopped.
      if (!sent || performance.now() > this.#endMs) return
      await this.#sleep(60_000 / requestsPerMinuteMax - (performance.now() - startedMs))
    }
  }

  /** Waits until a batch is full or its oldest event old enough. */
  async #untilDue(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (this.#waitingEvents >= this.#options.batchEvents) return
      const dueMs = this.#oldestMs === undefined ? undefined : this.#oldestMs + this.#options.batchAgeMs
      const leftMs = dueMs === undefined ? undefined : dueMs - performance.now()
      if (leftMs !== undefined && leftMs <= 0) return
      await new Promise<void>(resolve => {
        const timer = leftMs === undefined ? undefined : setTimeout(resolve, leftMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = undefined
    }
  }

  async #take(): Promise<Batch | undefined> {
    const { pending, batchEvents } = this.#options
    const batch: Batch = { events: [], reads: [], throughSeq: 0 }
    for (;;) {
      if (this.#read.length === 0) {
        const records = await this.#readPending()
        if (records.length === 0) break
        this.#read = records
        this.#readSeq = records.at(-1)!.seq
      }
      const record = this.#read[0]!
      const room = batchEvents - batch.events.length
      // Whole records, so that a kill repeats no more than one batch; one that is larger than a batch is cut.
      if (room === 0 || (record.events.length > room && batch.events.length > 0)) break
      batch.events.push(...record.events.splice(0, room))
      if (record.events.length > 0) break
      batch.throughSeq = record.seq
      if (record.read) batch.reads.push(record.read)
      this.#read.shift()
    }
    this.#waitingEvents = Math.max(0, this.#waitingEvents - batch.events.length)
    // What was damaged never comes.
    const hasMore = Math.max(this.#readSeq + 1, pending.firstSeq) <= pending.lastSeq
    const isDrained = this.#read.length === 0 && !hasMore
    if (isDrained) {
      this.#oldestMs = undefined
      this.#waitingEvents = 0
    }
    if (batch.events.length > 0) return batch
    await this.#release(batch)
    return undefined
  }

  /** Nothing when it can't be read at the moment. */
  async #readPending(): Promise<ReadRecord[]> {
    const { pending, log, health } = this.#options
    try {
      const records = await pending.readAs(this.#readSeq, readBytesMax, readRecord)
      if (this.#isUnreadable) log.info('pending events can be read again')
      this.#isUnreadable = false
      health.set('pending', undefined)
      return records
    } catch (error) {
      const reason = (error as Error).message
      if (!this.#isUnreadable) log.error({ reason }, 'pending events can not be read, trying again')
      this.#isUnreadable = true
      health.set('pending', `${reason}: pending events are not sent until it can; nothing is lost`)
      return []
    }
  }

  /** False when it was stopped before all were sent. */
  async #send(batch: Batch): Promise<boolean> {
    const { uploader, log } = this.#options
    const { accepted, refused, unsent } = await uploader.upload(batch.events)
    this.#uploaded.inc({ result: 'accepted' }, accepted.length)
    if (refused.length > 0) {
      log.warn({ events: refused.length, reason: refused[0]!.reason }, 'events refused, kept as dead letters')
      const letters = refused.map(({ item, reason }) => ({ reason, raw: item }))
      if (!(await this.#bury(letters))) return false
      this.#uploaded.inc({ result: 'refused' }, refused.length)
    }
    if (unsent.length > 0) return false
    await this.#release(batch)
    return true
  }

  async #release({ reads, throughSeq }: Batch): Promise<void> {
    if (throughSeq === 0) return
    await this.beforeRelease(reads)
    await this.#options.pending.release(throughSeq)
  }

  async #bury(letters: readonly { reason: string; raw: string }[]): Promise<boolean> {
    const { deadLetters, health, log } = this.#options
    let isTold = false
    for (;;) {
      try {
        await deadLetters.append(letters, Date.now())
        health.set('dead-letters', undefined)
        return true
      } catch (error) {
        const reason = (error as Error).message
        const isFull = error instanceof DeadLettersFull
        const remedy = isFull ? ': look at them and move some away' : ''
        health.set('dead-letters', `${reason}${remedy}; uploading waits for it`)
        if (!isTold && !isFull) log.error({ reason }, 'dead letters can not be written')
        isTold = true
        if (this.#stop.signal.aborted) return false
        await this.#sleep(deadLetterRetryMs)
      }
    }
  }

  async #sleep(ms: number): Promise<void> {
    if (ms <= 0) return
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined)
  }
}

function readRecord({ seq, payload }: SegmentRecord): ReadRecord {
  const { events, read } = decodePending(payload)
  return { seq, events: [...events], read }
}
