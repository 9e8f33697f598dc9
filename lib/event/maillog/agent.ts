/**
 * The agent: mail log → pending events on disk → ingestion API.
 *
 * What holds:
 * - an event is on disk before the place in the log behind it counts as read, and stays until the API took it over;
 * - when the disk's share is full, reading stops; nothing is dropped;
 * - damaged state never keeps it from starting: then the log is read again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Registry } from 'prom-client'
import { SegmentLogFull, type SegmentLog } from '../../durable/segment-log.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { AgentMetrics } from './agent-metrics.ts'
import { apiEvent } from './api-event.ts'
import type { DeliveryLog } from './delivery-log.ts'
import type { EventUpload } from './event-upload.ts'
import type { LogChunk, LogSource } from './log-source.ts'
import { eachLine } from './log-text.ts'
import { originOf, type Outcome } from './outcome.ts'
import { encodePending, eventsOfRecord, type PendingRecord } from './pending-record.ts'
import type { Progress } from './progress.ts'
import type { RecentEvents } from './recent-events.ts'

/** How often the log is looked at when nothing came, ms; and when nothing came for some time. */
const pollMs = 250
const quietPollMs = 1_000
const quietAfterPolls = 20

export interface AgentOptions {
  readonly deliveryLog: DeliveryLog
  readonly pending: SegmentLog
  readonly progress: Progress
  /** Those that an earlier run took over and has not sent yet are in it. */
  readonly recent: RecentEvents
  readonly upload: EventUpload
  /** Most events of one record, and of one request. */
  readonly batchEvents: number
  readonly reportDeferred: boolean
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
}

/** An event, and where in its chunk the line that it comes from ends. */
interface FoundEvent {
  /** JSON of an `ApiEvent`. */
  readonly event: string
  readonly origin: string
  readonly end: number
  readonly lines: number
}

export class Agent {
  readonly #options: AgentOptions
  readonly #sources: LogSource[] = []
  readonly #stop = new AbortController()
  readonly #metrics: AgentMetrics
  /** Those that could not be asked when they were last. */
  readonly #failing = new Set<LogSource>()
  readonly #leaving: { readonly id: string; readonly resolve: (isGone: boolean) => void }[] = []
  /** Outcomes of the line being read. */
  #outcomes: Outcome[] = []
  #done: Promise<void> | undefined
  #appending: Promise<void> = Promise.resolve()
  /** The map is ahead of what is safe on disk: it must not be saved. */
  #isStuck = false

  constructor(options: AgentOptions) {
    this.#options = options
    const { metrics, upload, pending, deliveryLog, progress } = options
    upload.beforeRelease = reads => progress.sent(reads)
    this.#metrics = new AgentMetrics(metrics, {
      pending,
      deliveryLog,
      sources: this.#sources,
      isStuck: () => this.#isStuck,
    })
  }

  /** Takes an outcome that the state machine reports while it reads a line. */
  report(outcome: Outcome): void {
    this.#outcomes.push(outcome)
  }

  /** Adds a source; call before `start` or while it runs. */
  async follow(source: LogSource): Promise<void> {
    this.#sources.push(source)
    if (source.start) await this.#options.progress.begins(source.id, source.start)
  }

  /** Lets go of a source that nothing can come from any more; gives false while something of it is unread. */
  unfollow(id: string): Promise<boolean> {
    return new Promise(resolve => this.#leaving.push({ id, resolve }))
  }

  start(): void {
    this.#options.upload.start()
    this.#done ??= this.#run()
  }

  /** Settles when all sources have come to their end (standard input). */
  get done(): Promise<void> {
    return this.#done ?? Promise.resolve()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#done
    for (const source of this.#sources) await source.close()
    await this.#options.upload.close(4_000)
    await this.#options.pending.close()
  }

  async #run(): Promise<void> {
    let quiet = 0
    // Where globs match nothing yet there is no source.
    const isOver = () => this.#sources.length > 0 && this.#sources.every(source => source.ended)
    while (!this.#stop.signal.aborted && !isOver()) {
      let found = false
      if (this.#leaving.length > 0) await this.#letGo()
      for (const source of this.#sources) {
        const chunk = await this.#next(source)
        if (!chunk) continue
        found = true
        await this.#take(source, chunk)
      }
      await this.#keep()
      quiet = found ? 0 : quiet + 1
      if (found) continue
      const waitMs = quiet < quietAfterPolls ? pollMs : quietPollMs
      await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
    // What can't be read a second time.
    for (const source of this.#sources) {
      if (source.id !== '-') continue
      for (let chunk = await source.next(); chunk; chunk = await source.next()) await this.#take(source, chunk)
    }
    await this.#appending
    await this.#options.progress.saveCursor()
    if (!this.#isStuck) await this.#options.progress.saveMap()
  }

  async #letGo(): Promise<void> {
    for (const { id, resolve } of this.#leaving.splice(0)) {
      const index = this.#sources.findIndex(source => source.id === id)
      const source = this.#sources[index]
      const last = await source?.lastLine?.()
      if (source && last) await this.#take(source, last)
      const isRead = source !== undefined && (await source.lagBytes()) === 0
      if (isRead) {
        await this.#appending
        this.#sources.splice(index, 1)
        this.#options.progress.forget(id)
        await source.close()
      }
      resolve(isRead)
    }
  }

  /** One source that fails keeps no other from being read; it is asked again. */
  async #next(source: LogSource): Promise<LogChunk | undefined> {
    const { health, log } = this.#options
    try {
      const chunk = await source.next()
      if (this.#failing.delete(source)) health.set('read', undefined)
      return chunk
    } catch (error) {
      const reason = (error as Error).message
      if (!this.#failing.has(source)) log.error({ log: source.id, err: error }, 'the log can not be read, trying again')
      this.#failing.add(source)
      health.set('read', `${source.id}: ${reason}: trying again; nothing is lost while the log is kept`)
      return undefined
    }
  }

  async #take(source: LogSource, chunk: LogChunk): Promise<void> {
    const { deliveryLog } = this.#options
    const verdicts = new Map<string, number>()
    this.#outcomes = []
    const events: FoundEvent[] = []
    eachLine(chunk.text, (line, whole, end, lines) => {
      const verdict = deliveryLog.read(line, whole, chunk.latestMs, source.id)
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
      if (this.#outcomes.length === 0) return
      for (const fresh of this.#fresh(this.#outcomes, chunk.replayed)) events.push({ ...fresh, end, lines })
      this.#outcomes = []
    })
    for (const [verdict, count] of verdicts) this.#metrics.lines.inc({ verdict }, count)
    await this.#appending
    if (this.#stop.signal.aborted && this.#isStuck) return
    this.#appending = this.#store(source.id, events, chunk)
  }

  /** The events that are not known yet. */
  #fresh(outcomes: readonly Outcome[], replayed: boolean): Pick<FoundEvent, 'event' | 'origin'>[] {
    const events: Pick<FoundEvent, 'event' | 'origin'>[] = []
    for (const outcome of outcomes) {
      if (outcome.type === 'deferred' && !this.#options.reportDeferred) continue
      const event = apiEvent(outcome)
      const origin = originOf(outcome)
      if (!this.#options.recent.add(event, origin)) {
        if (!replayed) this.#metrics.repeats.inc()
        continue
      }
      if (replayed) continue
      this.#metrics.events.inc({ type: outcome.type })
      events.push({ event: JSON.stringify(event), origin })
    }
    const last = outcomes.at(-1)
    if (last && Number.isFinite(last.at)) this.#metrics.lagSeconds = Math.max(0, Date.now() / 1000 - last.at / 1e6)
    return events
  }

  async #store(id: string, events: readonly FoundEvent[], chunk: LogChunk): Promise<void> {
    const { upload, batchEvents, progress } = this.#options
    const { position, positionAt, replayed } = chunk
    for (let from = 0; from < events.length;) {
      const part = events.slice(from, from + eventsOfRecord(events, from, batchEvents))
      from += part.length
      const next = events[from]
      const last = events[from - 1]!
      // A line with more events than one record takes is read only when the last of them is stored.
      const isRead =
        next === undefined ? position : last.end < next.end ? positionAt?.(last.end, last.lines) : undefined
      const record: PendingRecord = {
        events: part.map(({ event }) => event),
        origins: part.map(({ origin }) => origin),
        ...(isRead && { read: [id, isRead] as const }),
      }
      if (!(await this.#append(encodePending(record)))) return
      if (isRead) progress.read(id, isRead)
      upload.added(part.length)
    }
    if (!replayed) progress.read(id, position)
    progress.taught(id, position)
  }

  /** Waits for room, for as long as it takes; false when it was told to stop meanwhile. */
  async #append(payload: Buffer): Promise<boolean> {
    const { pending, health, log } = this.#options
    for (;;) {
      try {
        await pending.append(payload)
        if (this.#isStuck) log.info('reading goes on')
        this.#isStuck = false
        health.set('backpressure', undefined)
        return true
      } catch (error) {
        const reason = (error as Error).message
        const full = error instanceof SegmentLogFull
        if (!this.#isStuck) log.warn({ reason }, 'reading stopped: pending events can not be stored')
        this.#isStuck = true
        health.set(
          'backpressure',
          `${reason}: reading the log has stopped until ${full ? 'events are uploaded' : 'the disk can be written'}; nothing is lost while the log is kept`,
        )
        if (this.#stop.signal.aborted) return false
        await sleep(1_000, undefined, { signal: this.#stop.signal }).catch(() => undefined)
      }
    }
  }

  async #keep(): Promise<void> {
    const { progress } = this.#options
    if (progress.isCursorDue) await progress.saveCursor()
    if (!progress.isMapDue) return
    await this.#appending
    if (!this.#isStuck) await progress.saveMap()
  }
}
