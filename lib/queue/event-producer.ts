/**
 * Puts events into the queue. Whoever pushes is answered when the event is in Redis or, where Redis does not take it in
 * time, safe on disk; what is on disk goes to Redis, oldest first, as soon as that takes it again.
 *
 * What holds:
 * - pushed = queued + spilled + dropped, and spilled = drained + waiting in the spill (+ unreadable, after damage);
 * - an event keeps its id on every way, so that the copies that a lost answer may leave can be told from new events;
 * - one round trip is under way at a time, and what is pushed meanwhile shares the next;
 * - while Redis fails, pushing costs an fdatasync shared by all that wait, not a timeout.
 */
import { Counter, type Registry } from 'prom-client'
import type { TrackingEvent } from '../event/event.ts'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { SegmentLog, SegmentLogFull, type SegmentRecord } from '../durable/segment-log.ts'
import { createGroup } from './consumer-group.ts'
import { appendEntries } from './grouped-write.ts'
import { observedGauge } from './observed-gauge.ts'
import { partitionKeys, partitionOf } from './partition.ts'
import { PartitionedRedis } from './partitioned-redis.ts'
import { answered, redisReason } from './redis.ts'

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
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Beginning of the metrics' names: the process. */
  readonly prefix: string
}

interface Pushed {
  readonly messageId: string
  readonly json: string
  readonly settle: (outcome: PushOutcome) => void
}

/** Events that share a round trip at most. */
const groupMax = 1_000
/** Events that wait for the next round trip at most; more go to the spill. */
const waitingMax = 20_000
/** Failures in a row after which Redis is not asked any more but for a probe. */
const failuresMax = 3
/** How often a failing Redis is probed, and the length of the queue looked at, in milliseconds. */
const probeMs = 1_000
/** Failed probes in a row after which the connection is made anew: its other end may be silently gone. */
const probesBeforeReconnect = 3
/** Longest that a push waits for the disk, in milliseconds. */
const spillMsMax = 1_000
/** Bytes read from the spill at a time. */
const drainBytes = 256 << 10

export class EventProducer {
  readonly #options: EventProducerOptions
  readonly #queueLengthMax: number
  #connection!: PartitionedRedis
  #spill!: SegmentLog
  #waiting: Pushed[] = []
  #isSending = false
  #failures = 0
  #failedProbes = 0
  #isQueueFull = false
  #pushedSinceCheck = 0
  #draining: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #spilling = 0
  #sending: Promise<void> = Promise.resolve()
  #isClosed = false
  #isSpillBroken = false
  #isSpillUnreadable = false
  readonly #pushedTotal: Counter<'outcome'>
  readonly #drainedTotal: Counter
  readonly #unreadableTotal: Counter
  readonly #failuresTotal: Counter

  private constructor(options: EventProducerOptions) {
    this.#options = options
    this.#queueLengthMax = options.queueLengthMax ?? 2_000_000
    const { metrics, prefix } = options
    const registers = [metrics]
    this.#pushedTotal = new Counter({
      name: `${prefix}_events_pushed_total`,
      help: 'Events pushed to the queue, by where they went: queued in Redis, spilled to disk, dropped.',
      labelNames: ['outcome'],
      registers,
    })
    for (const outcome of ['queued', 'spilled', 'dropped'] as const) this.#pushedTotal.inc({ outcome }, 0)
    this.#drainedTotal = new Counter({
      name: `${prefix}_spill_drained_total`,
      help: 'Events that went from the spill on disk to Redis.',
      registers,
    })
    this.#unreadableTotal = new Counter({
      name: `${prefix}_spill_unreadable_total`,
      help: 'Records lost from the spill on disk because its files were damaged.',
      registers,
    })
    this.#failuresTotal = new Counter({
      name: `${prefix}_redis_failures_total`,
      help: 'Round trips to Redis that failed or took too long.',
      registers,
    })
    observedGauge(metrics, `${prefix}_spill_events`, 'Events on disk that wait for Redis.', () => this.spilledWaiting)
    observedGauge(metrics, `${prefix}_spill_bytes`, 'What the spill takes on disk.', () => this.#spill?.bytes ?? 0)
    observedGauge(metrics, `${prefix}_redis_open_breaker`, '1 while Redis fails and is only probed, else 0.', () =>
      this.#isBroken ? 1 : 0,
    )
  }

  /**
   * Starts also while Redis is down.
   * @throws {StartError} when the spill folder is in use or can't be written, or Redis is up and not fit for the queue
   */
  static async open(options: EventProducerOptions): Promise<EventProducer> {
    const producer = new EventProducer(options)
    const { log } = options
    producer.#spill = await SegmentLog.open({
      dir: options.spillDir,
      bytesMax: options.spillBytesMax ?? 100e6,
      onDamage: damage => {
        producer.#unreadableTotal.inc(damage.recordsMissing ?? 1)
        log.error({ ...damage }, 'part of the spill on disk is damaged and was left out')
      },
    })
    try {
      producer.#connection = await PartitionedRedis.open({
        ...options,
        role: 'producer',
        onUsable: () => {
          void producer.#createGroups()
          producer.#probe()
        },
      })
    } catch (error) {
      await producer.#spill.close()
      throw error
    }
    await producer.#createGroups()
    producer.#timer = setInterval(() => producer.#probe(), probeMs)
    producer.#timer.unref()
    producer.#probe()
    return producer
  }

  /** Events on disk that wait for Redis. */
  get spilledWaiting(): number {
    return this.#spill ? this.#spill.lastSeq - this.#spill.firstSeq + 1 : 0
  }

  /** Settles, never rejects, within about 250 ms. */
  push(event: TrackingEvent): Promise<PushOutcome> {
    const { promise, resolve } = Promise.withResolvers<PushOutcome>()
    const pushed: Pushed = { messageId: event.messageId, json: JSON.stringify(event), settle: resolve }
    if (this.#isClosed || !this.#isTaking || this.#waiting.length >= waitingMax) {
      this.#spillOne(pushed)
      return promise
    }
    this.#waiting.push(pushed)
    this.#schedule()
    return promise
  }

  /** Finishes what was pushed, then gives up connection and spill; idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#timer)
    while (this.#isSending || this.#waiting.length > 0) {
      await this.#sending
      await new Promise(setImmediate)
    }
    await this.#draining
    while (this.#spilling > 0) await new Promise(setImmediate)
    this.#connection.close()
    await this.#spill.close()
  }

  get #isBroken(): boolean {
    return this.#failures >= failuresMax
  }

  get #isTaking(): boolean {
    return !this.#isBroken && !this.#isQueueFull && this.#connection.isUsable
  }

  #schedule(): void {
    if (this.#isSending || this.#waiting.length === 0) return
    this.#isSending = true
    // What else arrives in this turn of the event loop shares the round trip.
    setImmediate(() => {
      this.#sending = this.#sendWaiting()
    })
  }

  async #sendWaiting(): Promise<void> {
    const group = this.#waiting.length <= groupMax ? this.#waiting : this.#waiting.slice(0, groupMax)
    this.#waiting = this.#waiting.length <= groupMax ? [] : this.#waiting.slice(groupMax)
    this.#pushedSinceCheck += group.length
    if (this.#isTaking) {
      const failures = await this.#append(group, ofPushed, (items, isQueued) => this.#settle(items, isQueued))
      this.#judge(failures)
    } else this.#settle(group, false)
    this.#isSending = false
    this.#schedule()
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

  /**
   * Sends items to their partitions, one command each, and tells for each whether Redis confirmed it.
   * @returns why some were not confirmed; empty when all were. Never rejects.
   */
  async #append<Item>(
    group: readonly Item[],
    { messageId, json }: { messageId: (item: Item) => string; json: (item: Item) => string },
    settle: (items: readonly Item[], isConfirmed: boolean) => void,
  ): Promise<readonly unknown[]> {
    const { redis, partitions } = this.#connection
    const byPartition = new Map<number, Item[]>()
    for (const item of group) {
      const partition = partitionOf(messageId(item), partitions)
      const items = byPartition.get(partition)
      if (items) items.push(item)
      else byPartition.set(partition, [item])
    }
    const failures: unknown[] = []
    await Promise.all(
      Array.from(byPartition, async ([partition, items]) => {
        try {
          await answered(appendEntries(redis, partitionKeys(partition).events, items.map(json)))
        } catch (error) {
          failures.push(error)
          return settle(items, false)
        }
        return settle(items, true)
      }),
    )
    return failures
  }

  /** Opens or closes the breaker by the outcome of a round trip. */
  #judge(failures: readonly unknown[]): void {
    if (failures.length > 0) this.#failed(failures[0])
    else this.#succeeded()
  }

  #failed(error: unknown): void {
    this.#failures++
    this.#failuresTotal.inc()
    if (this.#failures !== failuresMax) return
    const { log, health } = this.#options
    const reason = redisReason(error)
    log.warn({ reason }, 'Redis takes no events, they are kept on disk until it does')
    health.set('queue', `Redis takes no events (${reason}): they are kept on disk until it does`)
  }

  #succeeded(): void {
    if (this.#isBroken) {
      this.#options.health.set('queue', undefined)
      this.#options.log.info('Redis takes events again')
    }
    this.#failures = 0
  }

  #spillOne({ json, settle }: Pushed): void {
    this.#spilling++
    // A disk that hangs must not hold up whoever waits for the answer; the event may still be kept.
    const impatient = setTimeout(settle, spillMsMax, 'dropped')
    this.#spill
      .append(Buffer.from(json))
      .then(
        () => this.#spilled(settle),
        (error: unknown) => this.#lost(settle, error),
      )
      .finally(() => {
        this.#spilling--
        clearTimeout(impatient)
      })
  }

  #spilled(settle: Pushed['settle']): void {
    this.#pushedTotal.inc({ outcome: 'spilled' })
    settle('spilled')
    this.#setSpillTrouble(undefined)
  }

  #lost(settle: Pushed['settle'], error: unknown): void {
    this.#pushedTotal.inc({ outcome: 'dropped' })
    settle('dropped')
    this.#setSpillTrouble(error instanceof SegmentLogFull ? error.message : redisReason(error))
  }

  #setSpillTrouble(reason: string | undefined): void {
    if (this.#isSpillBroken === (reason !== undefined)) return
    this.#isSpillBroken = reason !== undefined
    const { log, health } = this.#options
    if (reason) log.error({ reason }, 'events are lost: Redis does not take them and they could not be kept on disk')
    health.set('spill', reason && `events are lost, for they can't be kept on disk: ${reason}`)
  }

  /** Once a second and whenever Redis comes back: is the queue full, can the spill be drained? */
  #probe(): void {
    if (this.#isClosed || this.#draining || !this.#connection?.isUsable) return
    this.#draining = this.#checkAndDrain()
      .catch((error: unknown) => {
        this.#options.log.error({ reason: redisReason(error) }, 'the spill can not be drained')
      })
      .finally(() => (this.#draining = undefined))
  }

  async #checkAndDrain(): Promise<void> {
    const { redis, partitions } = this.#connection
    const hasBacklog = this.spilledWaiting > 0
    if (this.#pushedSinceCheck > 0 || this.#isQueueFull || this.#isBroken || hasBacklog) {
      this.#pushedSinceCheck = 0
      try {
        const lengths = await Promise.all(
          Array.from({ length: partitions }, (_, p) => answered(redis.xlen(partitionKeys(p).events))),
        )
        this.#setQueueFull(lengths.reduce((sum, length) => sum + length, 0))
        this.#failedProbes = 0
      } catch (error) {
        if (!this.#isBroken) this.#failed(error)
        if (++this.#failedProbes >= probesBeforeReconnect) {
          this.#failedProbes = 0
          this.#connection.reconnect()
        }
        return
      }
    }
    if (!hasBacklog) this.#succeeded()
    await this.#drain()
  }

  /** At worst the consumer does it. */
  async #createGroups(): Promise<void> {
    if (!this.#connection?.isUsable) return
    const { redis, partitions } = this.#connection
    await Promise.allSettled(Array.from({ length: partitions }, (_, partition) => createGroup(redis, partition)))
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

  async #drain(): Promise<void> {
    while (!this.#isClosed && this.#connection.isUsable && !this.#isQueueFull) {
      const records = await this.#readSpill()
      if (!records) return
      const last = records.at(-1)
      if (!last) return this.#setSpillTrouble(undefined)
      const events = records.flatMap(({ payload }) => readSpilled(payload))
      const failures = await this.#append(events, ofSpilled, () => undefined)
      this.#judge(failures)
      // All or nothing: what some partitions took of a group that is sent again comes twice, with the same ids.
      if (failures.length > 0) return
      await this.#spill.release(last.seq)
      this.#drainedTotal.inc(events.length)
      this.#unreadableTotal.inc(records.length - events.length)
    }
  }

  /** Undefined when it can't be read at the moment: the next probe tries again. */
  async #readSpill(): Promise<SegmentRecord[] | undefined> {
    try {
      // While Redis fails one event is enough to find out whether it still does.
      const records = await this.#spill.read(0, this.#isBroken ? 1 : drainBytes)
      this.#setSpillUnreadable(undefined)
      return records
    } catch (error) {
      this.#setSpillUnreadable((error as Error).message)
      // Redis answered the probe; with nothing on disk to try it with, new events find out whether it takes them.
      this.#succeeded()
      return undefined
    }
  }

  #setSpillUnreadable(reason: string | undefined): void {
    const { log, health } = this.#options
    health.set('spill-read', reason && `${reason}: events on disk wait until it can; nothing is lost`)
    if (this.#isSpillUnreadable === (reason !== undefined)) return
    this.#isSpillUnreadable = reason !== undefined
    if (reason) log.error({ reason }, 'the spill can not be read, trying again')
    else log.info('the spill can be read again')
  }
}

const ofPushed = { messageId: (pushed: Pushed) => pushed.messageId, json: (pushed: Pushed) => pushed.json }

type Spilled = readonly [messageId: string, json: string]
const ofSpilled = { messageId: ([messageId]: Spilled) => messageId, json: ([, json]: Spilled) => json }

/** The event in a record of the spill; none when something else wrote into its folder. */
function readSpilled(payload: Buffer): Spilled[] {
  try {
    const json = payload.toString()
    const { messageId } = JSON.parse(json) as Partial<TrackingEvent>
    return messageId === undefined ? [] : [[messageId, json]]
  } catch {
    return []
  }
}
