/**
 * Puts events into the queue. Whoever pushes is answered when the event is in Redis or, where Redis does not take it in
 * time, safe on disk; what is on disk goes to Redis, oldest first, as soon as that takes it again. What Redis confirmed
 * and lost when it died goes to disk as well, and from there to Redis.
 *
 * What holds:
 * - pushed = queued + spilled + dropped; spilled + requeued = drained + on disk;
 * - an event keeps its id on every way, so that the copies that a lost answer may leave can be told from new events;
 * - two round trips are under way at most, and what is pushed meanwhile shares the next;
 * - while Redis fails, pushing costs an fdatasync shared by all that wait, not a timeout.
 */
import { Counter, type Registry } from '../process/prometheus.ts'
import type { TrackingEvent } from '../event/event.ts'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { Breaker } from './breaker.ts'
import { type Confirmation, ConfirmedEvents } from './confirmed-events.ts'
import { EventSpill } from './event-spill.ts'
import { EventStreams } from './event-streams.ts'
import { PartitionedRedis } from './partitioned-redis.ts'
import { redisReason } from './redis.ts'
import { Slabs } from './slabs.ts'

/** Where a pushed event is: in Redis, on disk, or nowhere because both refused it. */
export type PushOutcome = 'queued' | 'spilled' | 'dropped'

export interface EventProducerOptions {
  readonly redisUrl: string
  readonly partitions: number
  /** Folder of its own for what Redis does not take. */
  readonly spillDir: string
  /** Most that it may take on disk, in bytes. 100 MB. */
  readonly spillBytesMax?: number
  /** Events waiting in Redis from which on new ones go to the spill. 2,000,000. */
  readonly queueLengthMax?: number
  /** Bytes of events kept in memory in case that Redis loses what it has just confirmed. 32 MB. */
  readonly confirmedBytesMax?: number
  /** Whoever pushes keeps an event that was dropped and pushes it again: it is not lost, nor counted. False. */
  readonly isRetried?: boolean
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Beginning of the metrics' names: the process. */
  readonly prefix: string
}

interface Pushed {
  readonly json: string
  readonly settle: (outcome: PushOutcome) => void
}

/** Events that share a round trip at most. */
const groupMax = 1_000
/** Round trips under way at most. With one alone the process would sit idle until it is answered, and so would Redis. */
const sendingMax = 2
/** Events that wait for the next round trip at most; more go to the spill. */
const waitingMax = 20_000
/** How often Redis is probed, and the length of the queue looked at, in milliseconds. */
const probeMs = 1_000
/** Failed probes in a row after which the connection is made anew: its other end may be silently gone. */
const probesBeforeReconnect = 3
/** Bytes of the spill that are sent at once, at most. */
const drainBytesMax = 256 << 10
/** By how many more after a success. */
const drainBytesStep = 8 << 10

export class EventProducer {
  readonly #options: EventProducerOptions
  readonly #queueLengthMax: number
  #connection!: PartitionedRedis
  #slabs!: Slabs
  #streams!: EventStreams
  #spill!: EventSpill
  #confirmed!: ConfirmedEvents
  #waiting: Pushed[] = []
  /** Round trips under way. */
  readonly #sending = new Set<Promise<void>>()
  readonly #breaker: Breaker
  #failedProbes = 0
  #isQueueFull = false
  #pushedSinceCheck = 0
  /** Few after a failure: what Redis takes, but not in time, is sent again as a whole, and is in the queue twice. */
  #drainBytes = drainBytesMax
  #draining: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isScheduled = false
  #isClosed = false
  readonly #pushedTotal: Counter<'outcome'>

  private constructor(options: EventProducerOptions) {
    this.#options = options
    this.#queueLengthMax = options.queueLengthMax ?? 2_000_000
    const { log, health, metrics, prefix } = options
    this.#breaker = new Breaker(log, health, metrics, prefix)
    this.#pushedTotal = new Counter({
      name: `${prefix}_events_pushed_total`,
      help: 'Events pushed to the queue, by where they went: queued in Redis, spilled to disk, dropped.',
      labelNames: ['outcome'],
      registers: [metrics],
    })
    for (const outcome of ['queued', 'spilled', 'dropped'] as const) this.#pushedTotal.inc({ outcome }, 0)
  }

  /**
   * Starts also while Redis is down.
   * @throws {StartError} when the spill folder is in use or can't be written, or Redis is up and not fit for the queue
   */
  static async open(options: EventProducerOptions): Promise<EventProducer> {
    const producer = new EventProducer(options)
    producer.#spill = await EventSpill.open({
      ...options,
      dir: options.spillDir,
      bytesMax: options.spillBytesMax ?? 100e6,
    })
    const { confirmedBytesMax = 32e6, log, metrics, prefix } = options
    const slabs = new Slabs(confirmedBytesMax)
    producer.#slabs = slabs
    producer.#confirmed = new ConfirmedEvents(producer.#spill, slabs, confirmedBytesMax, log, metrics, prefix)
    try {
      producer.#connection = await PartitionedRedis.open({
        ...options,
        role: 'producer',
        onUsable: () => void producer.#begin(),
      })
    } catch (error) {
      await producer.#spill.close()
      throw error
    }
    producer.#streams = new EventStreams(producer.#connection, slabs, () => producer.#isReady, log, options.health)
    await producer.#begin()
    producer.#timer = setInterval(() => producer.#probe(), probeMs)
    producer.#timer.unref()
    return producer
  }

  /** Events on disk that wait for Redis. */
  get spilledWaiting(): number {
    return this.#spill.waiting
  }

  /** Bytes of events that are kept in memory or on disk in case that Redis loses them; none some seconds after the last. */
  get confirmedBytes(): number {
    return this.#confirmed.bytes
  }

  /** Settles, never rejects, within about 250 ms. */
  push(event: TrackingEvent): Promise<PushOutcome> {
    const { promise, resolve } = Promise.withResolvers<PushOutcome>()
    this.pushThen(event, resolve)
    return promise
  }

  /**
   * As `push`, for thousands a second: without a promise each.
   * @param settle called once, after this has returned; throws nothing
   */
  pushThen(event: TrackingEvent, settle: (outcome: PushOutcome) => void): void {
    const pushed: Pushed = { json: JSON.stringify(event), settle }
    if (this.#isClosed || !this.#isTaking || this.#waiting.length >= waitingMax) {
      this.#spillOne(pushed)
      return
    }
    this.#waiting.push(pushed)
    this.#schedule()
  }

  /** Finishes what was pushed, then gives up connection and spill; idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#timer)
    while (this.#sending.size > 0 || this.#waiting.length > 0) {
      await Promise.all(this.#sending)
      await new Promise(setImmediate)
    }
    await this.#draining
    await this.#confirmed.close(this.#connection)
    this.#connection.close()
    await this.#spill.close()
  }

  get #isTaking(): boolean {
    return !this.#breaker.isOpen && !this.#isQueueFull && this.#isReady
  }

  /** Whether Redis is there and has been asked what it lost: what comes after that could not be told from it. */
  get #isReady(): boolean {
    return this.#connection.isUsable && this.#confirmed.isChecked(this.#connection.runId)
  }

  #schedule(): void {
    if (this.#isScheduled || this.#sending.size >= sendingMax || this.#waiting.length === 0) return
    this.#isScheduled = true
    // What else arrives in this turn of the event loop shares the round trip.
    setImmediate(() => {
      this.#isScheduled = false
      const sending = this.#sendWaiting().finally(() => {
        this.#sending.delete(sending)
        this.#schedule()
      })
      this.#sending.add(sending)
      this.#schedule()
    })
  }

  async #sendWaiting(): Promise<void> {
    const group = this.#waiting.length <= groupMax ? this.#waiting : this.#waiting.slice(0, groupMax)
    this.#waiting = this.#waiting.length <= groupMax ? [] : this.#waiting.slice(groupMax)
    this.#pushedSinceCheck += group.length
    // A failure meanwhile has sent them to the spill: that Redis took nothing says nothing of it.
    if (group.length === 0) return
    const confirmation = this.#isTaking ? await this.#append(group.map(({ json }) => json)) : undefined
    if (confirmation) this.#confirmed.add(confirmation)
    this.#settle(group, confirmation !== undefined)
  }

  #settle(group: readonly Pushed[], isQueued: boolean): void {
    if (isQueued) {
      this.#pushedTotal.inc({ outcome: 'queued' }, group.length)
      for (const { settle } of group) settle('queued')
    } else {
      for (const pushed of group) this.#spillOne(pushed)
      // What came meanwhile has waited long enough already: it must not wait for another time limit.
      const waiting = this.#waiting
      this.#waiting = []
      for (const pushed of waiting) this.#spillOne(pushed)
    }
  }

  /** Appends, and opens or closes the breaker by the outcome. @returns undefined when Redis did not confirm */
  async #append(entries: readonly string[]): Promise<Confirmation | undefined> {
    try {
      const confirmation = await this.#streams.append(entries)
      this.#breaker.succeeded()
      return confirmation
    } catch (error) {
      this.#breaker.failed(error)
      return undefined
    }
  }

  #spillOne({ json, settle }: Pushed): void {
    let isSettled = false
    const settleOnce = (outcome: PushOutcome) => {
      if (!isSettled) settle(outcome)
      isSettled = true
    }
    void this.#spill
      .put(json, () => settleOnce('dropped'))
      .then(isSafe => {
        const outcome = isSafe ? 'spilled' : 'dropped'
        if (isSafe || this.#options.isRetried !== true) this.#pushedTotal.inc({ outcome })
        settleOnce(outcome)
      })
  }

  /** Whenever Redis comes, and comes back. */
  async #begin(): Promise<void> {
    if (this.#isClosed || !this.#streams || !this.#connection.isUsable) return
    await this.#confirmed.check(this.#connection)
    await this.#streams.createGroups()
    this.#probe()
  }

  /** Once a second and whenever Redis comes back: is the queue full, can the spill be drained? */
  #probe(): void {
    if (this.#pushedSinceCheck === 0) this.#slabs.trim()
    if (this.#isClosed || !this.#connection.isUsable) return
    if (!this.#isReady || this.#confirmed.isOpen) void this.#confirmed.check(this.#connection)
    if (this.#draining) return
    this.#draining = this.#checkAndDrain()
      .catch((error: unknown) => {
        this.#options.log.error({ reason: redisReason(error) }, 'the spill can not be drained')
      })
      .finally(() => (this.#draining = undefined))
  }

  async #checkAndDrain(): Promise<void> {
    while (await this.#check()) if (!(await this.#drain())) return
  }

  /** Looks at the queue where there is reason to. @returns whether Redis answered */
  async #check(): Promise<boolean> {
    const hasBacklog = this.spilledWaiting > 0
    const isDoubtful = this.#isQueueFull || this.#breaker.isOpen || this.#streams.isRefused
    try {
      if (this.#pushedSinceCheck > 0 || isDoubtful || hasBacklog || this.confirmedBytes > 0) {
        this.#pushedSinceCheck = 0
        const { runId } = this.#connection
        const sentAt = performance.now()
        this.#setQueueFull(await this.#streams.length())
        // Without an answer those of a producer that pushes nothing more would count as lost in days to come.
        this.#confirmed.answered(runId, sentAt)
        this.#failedProbes = 0
      }
    } catch (error) {
      if (!this.#breaker.isOpen) this.#breaker.failed(error)
      if (++this.#failedProbes >= probesBeforeReconnect) {
        this.#failedProbes = 0
        this.#connection.reconnect()
      }
      return false
    }
    if (!hasBacklog) this.#breaker.succeeded()
    return true
  }

  #setQueueFull(length: number): void {
    const isFull = length >= this.#queueLengthMax * (this.#isQueueFull ? 0.9 : 1)
    if (isFull === this.#isQueueFull) return
    this.#isQueueFull = isFull
    this.#options.health.set(
      'queue-length',
      isFull ? `${length} events wait in Redis, new ones are kept on disk: check that the feeder runs` : undefined,
    )
  }

  /** @returns whether it has drained for so long that the queue is to be looked at before it goes on */
  async #drain(): Promise<boolean> {
    const startedAt = performance.now()
    while (!this.#isClosed && this.#isReady && !this.#isQueueFull && !this.#confirmed.isDrainedFull) {
      if (performance.now() - startedAt > probeMs) return true
      // While Redis fails one event is enough to find out whether it still does.
      const group = await this.#spill.oldest(this.#breaker.isOpen ? 1 : this.#drainBytes)
      if (!group) {
        // Redis answered the probe; with nothing on disk to try it with, new events find out whether it takes them.
        this.#breaker.succeeded()
        return false
      }
      if (group.records === 0) return false
      if (!this.#spill.isOldest(group)) continue
      const confirmation = group.events.length > 0 ? await this.#append(group.events) : undefined
      if (group.events.length > 0 && !confirmation) {
        this.#drainBytes = Math.max(1, this.#drainBytes >> 2)
        return false
      }
      this.#drainBytes = Math.min(drainBytesMax, this.#drainBytes + drainBytesStep)
      this.#confirmed.addDrained(group, confirmation)
    }
    return false
  }
}
