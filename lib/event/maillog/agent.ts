/**
 * The agent: mail log → pending events on disk → ingestion API.
 *
 * What holds:
 * - an event is on disk before the place in the log behind it counts as read, and stays until the API took it over;
 * - when the disk's share is full, reading stops; nothing is dropped;
 * - damaged state never keeps it from starting: then the log is read again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, Gauge, type Registry } from 'prom-client'
import { SegmentLogFull, type SegmentLog } from '../../durable/segment-log.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import type { AgentState, Positions, SavedState } from './agent-state.ts'
import { apiEvent, type ApiEvent } from './api-event.ts'
import type { DeliveryLog } from './delivery-log.ts'
import type { EventUpload } from './event-upload.ts'
import type { LogChunk, LogSource, Resume, SourcePosition } from './log-source.ts'
import { eachLine } from './log-text.ts'
import { originOf, type Outcome } from './outcome.ts'
import { encodePending, eventsOfRecord, type PendingRecord } from './pending-record.ts'
import { RecentEvents } from './recent-events.ts'

/** How often the log is looked at when nothing came, ms; and when nothing came for some time. */
const pollMs = 250
const quietPollMs = 1_000
const quietAfterPolls = 20
/** Least time between two writes of the cursor where there are no events, ms. */
const cursorEveryMs = 1_000
const mapEveryMs = 60_000
const recentEventsMax = 100_000
/** How long health keeps naming what happened once, ms. */
const troubleKeptMs = 3_600_000

export interface AgentOptions {
  readonly deliveryLog: DeliveryLog
  readonly pending: SegmentLog
  readonly state: AgentState
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
  readonly event: ApiEvent
  readonly origin: string
  readonly end: number
  readonly lines: number
}

export class Agent {
  readonly #options: AgentOptions
  readonly #sources: LogSource[] = []
  /** Up to where events are safe on disk. */
  readonly #positions: Record<string, SourcePosition>
  /** Where the state machine stands: behind that while a log is read again, else the same. */
  readonly #mapPositions: Record<string, SourcePosition>
  readonly #recent = new RecentEvents(recentEventsMax)
  readonly #stop = new AbortController()
  readonly #lines: Counter<'verdict'>
  readonly #events: Counter<'type'>
  readonly #repeats: Counter
  /** Outcomes of the line being read. */
  #outcomes: Outcome[] = []
  #done: Promise<void> | undefined
  #appending: Promise<void> = Promise.resolve()
  /** The map is ahead of what is safe on disk: it must not be saved. */
  #stuck = false
  #cursorSavedMs = 0
  #cursorWriting: Promise<void> = Promise.resolve()
  #cursorChanged = false
  #mapSavedMs = Date.now()
  #mapChanged = false
  #lagSeconds = 0

  /** @param saved where an earlier run had come to */
  constructor(options: AgentOptions, saved: SavedState) {
    this.#options = options
    this.#positions = { ...saved.cursor }
    this.#mapPositions = { ...saved.map?.positions }
    const { metrics, upload } = options
    upload.beforeRelease = () => this.#saveCursor()
    const registers = [metrics]
    this.#lines = new Counter({
      name: 'agent_lines_total',
      help: 'Log lines read, by what they were good for.',
      labelNames: ['verdict'],
      registers,
    })
    this.#events = new Counter({
      name: 'agent_events_total',
      help: 'Events made of log lines, by type.',
      labelNames: ['type'],
      registers,
    })
    this.#repeats = new Counter({
      name: 'agent_repeated_events_total',
      help: 'Events found again in a log that was read again, and not reported a second time.',
      registers,
    })
    this.#gauges(registers)
  }

  /** Takes an outcome that the state machine reports while it reads a line. */
  report(outcome: Outcome): void {
    this.#outcomes.push(outcome)
  }

  /** Events that an earlier run took over and has not sent yet. */
  remember({ events, origins }: PendingRecord): void {
    for (const [index, event] of events.entries()) this.#recent.add(event, origins?.[index] ?? '')
  }

  /** Adds a source; call before `start` or while it runs. */
  async follow(source: LogSource): Promise<void> {
    this.#sources.push(source)
    if (!source.start) return
    this.#positions[source.id] ??= source.start
    this.#cursorChanged = true
    await this.#saveCursor()
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
    while (!this.#stop.signal.aborted && this.#sources.some(source => !source.ended)) {
      let found = false
      for (const source of this.#sources) {
        const chunk = await source.next()
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
    if (this.#stuck) return
    await this.#saveCursor()
    await this.#saveMap()
  }

  async #take(source: LogSource, chunk: LogChunk): Promise<void> {
    const { deliveryLog } = this.#options
    const verdicts = new Map<string, number>()
    this.#outcomes = []
    const events: FoundEvent[] = []
    eachLine(chunk.text, (line, whole, end, lines) => {
      const verdict = deliveryLog.read(line, whole, chunk.latestMs)
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
      if (this.#outcomes.length === 0) return
      for (const fresh of this.#fresh(this.#outcomes, chunk.replayed)) events.push({ ...fresh, end, lines })
      this.#outcomes = []
    })
    for (const [verdict, count] of verdicts) this.#lines.inc({ verdict }, count)
    this.#mapChanged = true
    await this.#appending
    if (this.#stop.signal.aborted && this.#stuck) return
    this.#appending = this.#store(source.id, events, chunk)
  }

  /** The events that are not known yet. */
  #fresh(outcomes: readonly Outcome[], replayed: boolean): Pick<FoundEvent, 'event' | 'origin'>[] {
    const events: Pick<FoundEvent, 'event' | 'origin'>[] = []
    for (const outcome of outcomes) {
      if (outcome.type === 'deferred' && !this.#options.reportDeferred) continue
      const event = apiEvent(outcome)
      const origin = originOf(outcome)
      if (!this.#recent.add(event, origin)) {
        if (!replayed) this.#repeats.inc()
        continue
      }
      if (replayed) continue
      this.#events.inc({ type: outcome.type })
      events.push({ event, origin })
    }
    const last = outcomes.at(-1)
    if (last && Number.isFinite(last.at)) this.#lagSeconds = Math.max(0, Date.now() / 1000 - last.at / 1e6)
    return events
  }

  async #store(id: string, events: readonly FoundEvent[], chunk: LogChunk): Promise<void> {
    const { upload, batchEvents } = this.#options
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
      if (isRead) this.#reached(id, isRead)
      upload.added(part.length)
    }
    if (!replayed) this.#reached(id, position)
    this.#mapPositions[id] = position
  }

  #reached(id: string, position: SourcePosition): void {
    this.#positions[id] = position
    this.#cursorChanged = true
  }

  /** Waits for room, for as long as it takes; false when it was told to stop meanwhile. */
  async #append(payload: Buffer): Promise<boolean> {
    const { pending, health, log } = this.#options
    for (;;) {
      try {
        await pending.append(payload)
        if (this.#stuck) log.info('reading goes on')
        this.#stuck = false
        health.set('backpressure', undefined)
        return true
      } catch (error) {
        const reason = (error as Error).message
        const full = error instanceof SegmentLogFull
        if (!this.#stuck) log.warn({ reason }, 'reading stopped: pending events can not be stored')
        this.#stuck = true
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
    const now = Date.now()
    if (this.#cursorChanged && Math.abs(now - this.#cursorSavedMs) >= cursorEveryMs) await this.#saveCursor()
    if (this.#mapChanged && Math.abs(now - this.#mapSavedMs) >= mapEveryMs) {
      await this.#appending
      if (!this.#stuck) await this.#saveMap()
    }
  }

  /** One write at a time. */
  async #saveCursor(): Promise<void> {
    this.#cursorWriting = this.#cursorWriting.then(async () => {
      if (!this.#cursorChanged) return
      this.#cursorSavedMs = Date.now()
      this.#cursorChanged = false
      await this.#saving(() => this.#options.state.saveCursor(this.#positions))
    })
    await this.#cursorWriting
  }

  async #saveMap(): Promise<void> {
    this.#mapSavedMs = Date.now()
    this.#mapChanged = false
    await this.#saving(() => this.#options.state.saveMap(this.#mapPositions, this.#options.deliveryLog.save()))
    this.#mapSavedMs = Date.now()
  }

  async #saving(save: () => Promise<void>): Promise<void> {
    try {
      await save()
      this.#options.health.set('state', undefined)
    } catch (error) {
      this.#options.health.set(
        'state',
        `the state can't be written (${(error as Error).message}): check disk and rights`,
      )
      this.#mapChanged = true
      this.#cursorChanged = true
    }
  }

  #gauges(registers: Registry[]): void {
    const { pending, deliveryLog } = this.#options
    const sources = this.#sources
    const lagSeconds = () => this.#lagSeconds
    const stuck = () => this.#stuck
    const gauge = (name: string, help: string, value: () => number | Promise<number>) =>
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await value())
        },
      })
    gauge('agent_lag_bytes', 'Bytes of the log that are not read yet.', async () => {
      let sum = 0
      for (const source of sources) sum += await source.lagBytes()
      return sum
    })
    gauge('agent_lag_seconds', 'Age of the event that was read last, when it was read.', lagSeconds)
    gauge('agent_wal_bytes', 'Disk space that pending events take.', () => pending.bytes)
    gauge('agent_backpressure', '1 while reading has stopped because pending events can not be stored.', () =>
      stuck() ? 1 : 0,
    )
    gauge('agent_queue_ids', 'Queue ids that are remembered.', () => deliveryLog.size)
    const counts = new Gauge({
      name: 'agent_state_total',
      help: 'What the state machine has counted since it started: results without UUID, queue ids evicted or expired.',
      labelNames: ['what'],
      registers,
      collect() {
        for (const [what, count] of Object.entries(deliveryLog.counts())) this.set({ what }, count)
      },
    })
    counts.set({ what: 'withoutUuid' }, 0)
  }
}

/**
 * Where each source goes on, from what was saved and what pending events say.
 * @param inPending the last position of each source in the log of pending events
 */
export function resumeOf(id: string, saved: SavedState, inPending: Positions): Resume {
  const from = saved.map?.positions[id]
  const [cursor, pending] = [saved.cursor[id], inPending[id]]
  const through = cursor && pending ? (cursor.lines > pending.lines ? cursor : pending) : (cursor ?? pending ?? from)
  return { from, through, damaged: saved.damaged }
}

/** Keeps a cause in health for an hour after it was named last. */
export function passingTrouble(health: Health, cause: string): (trouble: string) => void {
  let timer: NodeJS.Timeout | undefined
  return trouble => {
    health.set(cause, trouble)
    clearTimeout(timer)
    timer = setTimeout(() => health.set(cause, undefined), troubleKeptMs).unref()
  }
}
