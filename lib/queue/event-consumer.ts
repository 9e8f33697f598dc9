/**
 * Takes events from the queue, for a feeder: each is given to one consumer at a time and stays in the queue until it is
 * done with. What a dead consumer had taken is given to another when its lease has passed.
 *
 * Waiting: one blocking XREADGROUP a partition, each on a connection of its own, so that no command names keys of two
 * partitions (a Redis Cluster may hold them on different nodes), an event is there as soon as it is written, and nothing
 * is polled. Beyond `readersMax` partitions a connection serves several: it asks each without waiting, then waits at one
 * of them for `sharedBlockMs` at most, which is then the longest that an event at another one lies unseen.
 */
import type { Redis } from 'ioredis'
import { Counter, type Registry } from 'prom-client'
import type { TrackingEvent } from '../event/event.ts'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { observedGauge } from './observed-gauge.ts'
import { consumerGroup, partitionKeys } from './partition.ts'
import { PartitionedRedis } from './partitioned-redis.ts'
import { answered, blockMs, connectRedis, redisReason } from './redis.ts'

/** An event as it was taken from the queue. */
export interface QueuedEvent {
  readonly partition: number
  /** Redis's id of the entry; not the event's. */
  readonly entryId: string
  /** Undefined when the entry is no event. */
  readonly event: TrackingEvent | undefined
  /** The text that was queued. */
  readonly raw: string
  /** How often it was given to a consumer, this time included. */
  readonly deliveries: number
}

export interface EventConsumerOptions {
  readonly redisUrl: string
  readonly partitions: number
  /** Name of this consumer; no two live processes may bear the same. */
  readonly consumer: string
  /**
   * How long a consumer may be silent before its events are given to another, in milliseconds. A live consumer renews
   * the lease of what it has by itself, however long that takes.
   */
  readonly leaseMs: number
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Beginning of the metrics' names. `feeder`. */
  readonly prefix?: string
}

type EntryReply = [id: string, fields: string[] | null]
type StreamReply = [key: string, entries: EntryReply[]][]

/** Entries that one command claims, renews or removes at most. */
const claimMax = 500
/** Longest wait for the answer to a command that doesn't block, in milliseconds. */
const commandMs = 2_000

export class EventConsumer {
  readonly #options: EventConsumerOptions
  #connection!: PartitionedRedis
  #readers: Redis[] = []
  /** What was read and not yet asked for. */
  #ready: QueuedEvent[] = []
  /** What was handed out and is not done: partition and entry id. */
  readonly #taken = new Set<string>()
  #wake: (() => void) | undefined
  #claimAt = 0
  #isClosed = false
  readonly #takenTotal: Counter
  readonly #takenOverTotal: Counter
  readonly #doneTotal: Counter
  readonly #unreadableTotal: Counter

  private constructor(options: EventConsumerOptions) {
    this.#options = options
    const { metrics, prefix = 'feeder' } = options
    const counter = (name: string, help: string) =>
      new Counter({ name: `${prefix}_${name}`, help, registers: [metrics] })
    this.#takenTotal = counter('queue_taken_total', 'Events taken from the queue, those taken over included.')
    this.#takenOverTotal = counter(
      'queue_taken_over_total',
      'Events taken over from a consumer that was silent longer than its lease.',
    )
    this.#doneTotal = counter('queue_done_total', 'Events removed from the queue because they were done with.')
    this.#unreadableTotal = counter('queue_unreadable_total', 'Entries of the queue that are no events.')
    observedGauge(
      metrics,
      `${prefix}_queue_waiting`,
      'Events in the queue, those taken and not yet done included.',
      () => this.waiting(),
    )
    observedGauge(metrics, `${prefix}_queue_in_hand`, 'Events taken and not yet done.', () => this.#taken.size)
  }

  /**
   * Starts also while Redis is down.
   * @throws {StartError} when Redis is up and not fit for the queue
   */
  static async open(options: EventConsumerOptions): Promise<EventConsumer> {
    const consumer = new EventConsumer(options)
    consumer.#connection = await PartitionedRedis.open({ ...options, role: 'store' })
    return consumer
  }

  /**
   * Up to `max` events: those that are there, else the first that come within `waitMs`; empty when none came. Events of
   * silent consumers come first. One call at a time.
   */
  async take(max: number, waitMs: number): Promise<QueuedEvent[]> {
    const deadline = performance.now() + waitMs
    this.#startReaders()
    for (;;) {
      await this.#takeOver(max)
      if (this.#ready.length > 0 || this.#isClosed) break
      const restMs = deadline - performance.now()
      if (restMs <= 0) break
      await this.#read(max, Math.min(restMs, blockMs))
    }
    const events = this.#ready.splice(0, max)
    for (const { partition, entryId } of events) this.#taken.add(`${partition}/${entryId}`)
    this.#takenTotal.inc(events.length)
    this.#unreadableTotal.inc(events.filter(({ event }) => event === undefined).length)
    return events
  }

  /**
   * Removes entries from the queue.
   * @throws Error when Redis did not confirm it; they may come again
   */
  async done(entries: readonly QueuedEvent[]): Promise<void> {
    const byPartition = new Map<number, string[]>()
    for (const { partition, entryId } of entries) {
      const ids = byPartition.get(partition)
      if (ids) ids.push(entryId)
      else byPartition.set(partition, [entryId])
    }
    for (const [partition, ids] of byPartition) {
      const { events } = partitionKeys(partition)
      for (let at = 0; at < ids.length; at += claimMax) {
        const some = ids.slice(at, at + claimMax)
        const multi = this.#connection.redis.multi()
        multi.xack(events, consumerGroup, ...some)
        multi.xdel(events, ...some)
        await answered(multi.exec(), commandMs)
        for (const id of some) this.#taken.delete(`${partition}/${id}`)
        this.#doneTotal.inc(some.length)
      }
    }
  }

  /** How many events are in the queue, those taken and not yet done included. */
  async waiting(): Promise<number> {
    const { redis, partitions } = this.#connection
    const lengths = await Promise.all(
      Array.from({ length: partitions }, (_, p) => answered(redis.xlen(partitionKeys(p).events), commandMs)),
    )
    return lengths.reduce((sum, length) => sum + length, 0)
  }

  /** Gives up the connections; what was taken and not done goes to another consumer after its lease. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#wake?.()
    for (const reader of this.#readers) reader.disconnect()
    this.#connection.close()
    await Promise.resolve()
  }

  readonly #busy = new Set<number>()

  #startReaders(): void {
    while (this.#readers.length < this.#connection.partitions) {
      this.#readers.push(connectRedis(this.#options.redisUrl, 'consumer', this.#options))
    }
  }

  /** Asks all partitions that are not being asked already; settles at the first events, or after `waitMs`. */
  async #read(max: number, waitMs: number): Promise<void> {
    const wake = new Promise<void>(resolve => (this.#wake = resolve))
    for (const [partition, reader] of this.#readers.entries()) {
      if (this.#busy.has(partition)) continue
      this.#busy.add(partition)
      void this.#readPartition(reader, partition, max).finally(() => this.#busy.delete(partition))
    }
    const timer = setTimeout(() => this.#wake?.(), waitMs)
    await wake
    clearTimeout(timer)
    // Answers for other partitions that have arrived too are worth a turn of the event loop.
    await new Promise(setImmediate)
  }

  async #readPartition(reader: Redis, partition: number, max: number): Promise<void> {
    const { events } = partitionKeys(partition)
    const { consumer, log } = this.#options
    try {
      const reply: StreamReply | null = await answered(
        reader.xreadgroup('GROUP', consumerGroup, consumer, 'COUNT', max, 'BLOCK', blockMs, 'STREAMS', events, '>'),
        blockMs + 2_000,
      )
      for (const entry of reply?.[0]?.[1] ?? []) this.#ready.push(readEntry(partition, entry, 1))
      if (reply) this.#wake?.()
    } catch (error) {
      if (this.#isClosed) return
      if (isNoGroup(error)) await this.#createGroup(partition)
      else {
        if (reader.status === 'ready') {
          log.warn({ reason: redisReason(error) }, 'reading the queue failed, trying again')
          reader.disconnect(true)
        }
        await new Promise(resolve => setTimeout(resolve, 200))
      }
    }
  }

  async #createGroup(partition: number): Promise<void> {
    try {
      const { events } = partitionKeys(partition)
      await answered(this.#connection.redis.xgroup('CREATE', events, consumerGroup, '0', 'MKSTREAM'), commandMs)
    } catch (error) {
      if (!(error as Error).message.startsWith('BUSYGROUP')) {
        await new Promise(resolve => setTimeout(resolve, 200))
      }
    }
  }

  /** Claims what silent consumers had taken. */
  async #takeOver(max: number): Promise<void> {
    if (performance.now() < this.#claimAt || !this.#connection.isUsable) return
    this.#claimAt = performance.now() + Math.min(this.#options.leaseMs / 2, 30_000)
    const { redis, partitions } = this.#connection
    const { consumer, leaseMs, log } = this.#options
    for (let partition = 0; partition < partitions; partition++) {
      const { events } = partitionKeys(partition)
      try {
        const [, entries] = (await answered(
          redis.xautoclaim(events, consumerGroup, consumer, leaseMs, '0-0', 'COUNT', Math.min(max, claimMax)),
          commandMs,
        )) as [cursor: string, entries: EntryReply[]]
        const fresh = entries.filter(([id]) => !this.#taken.has(`${partition}/${id}`))
        for (const entry of fresh) this.#ready.push(readEntry(partition, entry, 2))
        this.#takenOverTotal.inc(fresh.length)
      } catch (error) {
        if (isNoGroup(error)) await this.#createGroup(partition)
        else log.warn({ reason: redisReason(error) }, 'looking for events of silent consumers failed')
      }
    }
  }
}

function isNoGroup(error: unknown): boolean {
  return /^(?:NOGROUP|UNBLOCKED)/.test((error as Error).message)
}

function readEntry(partition: number, [entryId, fields]: EntryReply, deliveries: number): QueuedEvent {
  const raw = fields?.[0] === 'e' ? (fields[1] ?? '') : (fields?.join(' ') ?? '')
  return { partition, entryId, event: readEvent(raw), raw, deliveries }
}

function readEvent(raw: string): TrackingEvent | undefined {
  try {
    const value = JSON.parse(raw) as Partial<TrackingEvent> | null
    return value !== null &&
      typeof value.id === 'string' &&
      typeof value.type === 'string' &&
      typeof value.messageId === 'string' &&
      typeof value.at === 'number'
      ? (value as TrackingEvent)
      : undefined
  } catch {
    return undefined
  }
}
