/**
 * Takes events from the queue, for a feeder: each is in one consumer's hand at a time and stays in the queue until it is
 * done with.
 *
 * What holds:
 * - what a consumer has in hand is its own for as long as the process lives, however long it takes: the lease is
 *   renewed; what a consumer had that was silent for a whole lease is given to another;
 * - an event is handed out again only when its consumer died, was silent for a lease, or Redis lost the confirmation
 *   that it was done; always with the same id;
 * - taken = done + in hand + given back.
 */
import { Counter, type Registry } from '../process/prometheus.ts'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { createGroup, isNoGroup } from './consumer-group.ts'
import { commandMs, idsMax, Leases } from './leases.ts'
import { observedGauge } from '../process/observed-gauge.ts'
import { consumerGroup, partitionKeys } from './partition.ts'
import { PartitionReader } from './partition-reader.ts'
import { PartitionedRedis } from './partitioned-redis.ts'
import { ReadyEntries } from './ready-entries.ts'
import { readEntry, type EntryReply, type QueuedEvent } from './queue-entry.ts'
import { isWrongType, redisReason, unlessWrongType } from './redis.ts'

export type { QueuedEvent } from './queue-entry.ts'

export interface EventConsumerOptions {
  readonly redisUrl: string
  readonly partitions: number
  /** Name of this consumer; no two live processes may bear the same. A stable one gets its own back after a restart. */
  readonly consumer: string
  /** How long a consumer may be silent before its events are given to another, in milliseconds; at least 100. */
  readonly leaseMs: number
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Beginning of the metrics' names. `feeder`. */
  readonly prefix?: string
}

/** Connections that wait for events; beyond as many partitions they are shared. */
const readersMax = 16
/** Entries read ahead from which on no more are taken over, and their characters. */
const readyMax = 1_000
const readyCharsMax = 4_000_000
/** What `take` gives at once, in characters; the last entry may go beyond it. */
const takeCharsMax = 4_000_000
/** What is asked of all partitions at a time, in characters, by the size of the entries that came before. */
const askedCharsMax = 4_000_000
/** Fewest entries asked of a partition at a time. */
const readMin = 50

export class EventConsumer {
  readonly #options: EventConsumerOptions
  #connection!: PartitionedRedis
  #leases!: Leases
  #readers: PartitionReader[] = []
  /** In hand and not yet asked for. */
  readonly #ready = new ReadyEntries()
  /** Partitions of which Redis may hold entries for us that we don't know of. */
  readonly #unsure = new Set<number>()
  /** Partitions whose group is missing and can't be made. */
  readonly #groupless = new Set<number>()
  #wake: () => void = () => undefined
  /** Entries to ask of a partition; 0 while nobody waits for any. */
  #wanted = 0
  /** How large entries are, in characters: an average in which the latest count most. */
  #entryChars = 4_096
  #timer: NodeJS.Timeout | undefined
  #tending: Promise<void> | undefined
  /** The partition that is tended next. */
  #tendNext = 0
  /** There may be more to take over, as soon as there is room. */
  #isBehind = false
  #isClosed = false
  readonly #takenTotal: Counter
  readonly #takenOverTotal: Counter
  readonly #doneTotal: Counter
  readonly #unreadableTotal: Counter

  private constructor(options: EventConsumerOptions) {
    this.#options = options
    const { metrics, prefix = 'feeder' } = options
    const counter = (name: string, help: string) =>
      new Counter({ name: `${prefix}_queue_${name}`, help, registers: [metrics] })
    this.#takenTotal = counter('taken_total', 'Events taken from the queue, those taken over included.')
    this.#takenOverTotal = counter('taken_over_total', 'Events that another consumer, or this one before, had in hand.')
    this.#doneTotal = counter('done_total', 'Events removed from the queue because they were done with.')
    this.#unreadableTotal = counter('unreadable_total', 'Entries of the queue that are no events.')
    const gauge = (name: string, help: string, read: () => number | Promise<number>) =>
      observedGauge(metrics, `${prefix}_queue_${name}`, help, read)
    gauge('waiting', 'Events in the queue, those in hand included.', () => this.waiting())
    gauge('in_hand', 'Events taken and not yet done.', () => this.#leases.size - this.#ready.size)
    gauge('append_only', '1 when Redis writes an append-only file, 0 when its restart loses the queue.', () =>
      this.#connection.appendOnly === false ? 0 : 1,
    )
  }

  /**
   * Starts also while Redis is down.
   * @throws {StartError} when Redis is up and not fit for the queue
   */
  static async open(options: EventConsumerOptions): Promise<EventConsumer> {
    const consumer = new EventConsumer(options)
    consumer.#connection = await PartitionedRedis.open({
      ...options,
      role: 'store',
      onUsable: () => consumer.#becameUsable(),
    })
    consumer.#leases = new Leases(consumer.#connection, options.consumer, options.leaseMs)
    consumer.#timer = setInterval(() => consumer.#tend(), Math.max(options.leaseMs / 3, 30))
    consumer.#timer.unref()
    if (consumer.#connection.isUsable) consumer.#becameUsable()
    return consumer
  }

  /**
   * Up to `max` events, fewer when they are large: those that were read ahead, else the first that come within `waitMs`; none when none came or
   * Redis is away. One call at a time.
   */
  async take(max: number, waitMs: number): Promise<QueuedEvent[]> {
    const deadline = performance.now() + waitMs
    while (this.#ready.size === 0 && !this.#isClosed) {
      const restMs = deadline - performance.now()
      if (restMs <= 0) break
      const woken = new Promise<void>(resolve => (this.#wake = resolve))
      this.#wanted = this.#entriesToAsk(max)
      this.#startReaders()
      const timer = setTimeout(this.#wake, restMs)
      await woken
      this.#wanted = 0
      clearTimeout(timer)
      // What other partitions answered meanwhile is worth a turn of the event loop.
      await new Promise(setImmediate)
    }
    const events = this.#ready.take(max, takeCharsMax)
    if (this.#isBehind) this.#tend()
    this.#takenTotal.inc(events.length)
    this.#unreadableTotal.inc(events.reduce((sum, { event }) => sum + (event === undefined ? 1 : 0), 0))
    return events
  }

  #entriesToAsk(max: number): number {
    const { partitions } = this.#connection
    const fitting = Math.floor(askedCharsMax / partitions / this.#entryChars)
    return Math.max(1, Math.min(max, fitting, Math.max(readMin, Math.ceil(max / partitions))))
  }

  /**
   * Removes entries from the queue.
   * @throws Error when Redis did not confirm it; doing it again does no harm
   */
  async done(entries: readonly Pick<QueuedEvent, 'partition' | 'entryId'>[]): Promise<void> {
    const byPartition = new Map<number, string[]>()
    for (const { partition, entryId } of entries) {
      const ids = byPartition.get(partition)
      if (ids) ids.push(entryId)
      else byPartition.set(partition, [entryId])
    }
    const answers = await Promise.allSettled(
      Array.from(byPartition, ([partition, ids]) => this.#remove(partition, ids)),
    )
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
  }

  async #remove(partition: number, ids: readonly string[]): Promise<void> {
    const { events } = partitionKeys(partition)
    for (let at = 0; at < ids.length; at += idsMax) {
      const some = ids.slice(at, at + idsMax)
      // Not as a transaction, which a Redis that is out of memory refuses. What is deleted and, because this process
      // dies in between, not acknowledged is never handed out again; the other way round it would stay for ever.
      const pipeline = this.#connection.redis.pipeline()
      pipeline.xdel(events, ...some)
      pipeline.xack(events, consumerGroup, ...some)
      const replies = await this.#connection.answer(pipeline.exec(), commandMs)
      // Where something else has taken the place of the stream they are gone already.
      const error = replies?.find(([error]) => error && !isWrongType(error))?.[0]
      if (error) throw error
      // Not what Redis counted: that is 0 when only the answer to the first attempt was lost.
      this.#doneTotal.inc(some.filter(id => this.#leases.delete(partition, id)).length)
    }
  }

  /**
   * How many events are in the queue, those in hand included.
   * @throws Error when Redis does not answer
   */
  async waiting(): Promise<number> {
    const { redis, partitions } = this.#connection
    const lengthOf = (partition: number) =>
      unlessWrongType(this.#connection.answer(redis.xlen(partitionKeys(partition).events), commandMs))
    const lengths = await Promise.all(Array.from({ length: partitions }, (_, partition) => lengthOf(partition)))
    return lengths.reduce<number>((sum, length = 0) => sum + length, 0)
  }

  /** Gives what is in hand back to the queue, for others to take at once, and gives up the connections; idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#timer)
    this.#wake()
    await Promise.all(this.#readers.map(reader => reader.close()))
    await this.#tending
    if (this.#connection.isUsable) {
      await this.#leases.giveBack().catch((error: unknown) => {
        this.#options.log.warn({ reason: redisReason(error) }, 'events in hand come back when their lease has passed')
      })
    }
    this.#connection.close()
  }

  #becameUsable(): void {
    // The first time `open` is not through yet, and calls this itself.
    if (!this.#leases) return
    const { partitions } = this.#connection
    while (this.#readers.length < Math.min(partitions, readersMax)) {
      this.#readers.push(
        new PartitionReader({
          ...this.#options,
          onEntries: (partition, entries) => this.#arrived(partition, entries),
          onIdle: reader => this.#startReader(reader),
          onLost: partition => {
            this.#unsure.add(partition)
            this.#tend()
          },
          createGroup: partition => this.#createGroup(partition),
        }),
      )
    }
    // Perhaps another server, or another number of partitions.
    this.#groupless.clear()
    this.#options.health.set('queue-group', undefined)
    const all = Array.from({ length: partitions }, (_, partition) => partition)
    for (const [index, reader] of this.#readers.entries()) {
      reader.partitions = all.filter(partition => partition % this.#readers.length === index)
    }
    for (const partition of all) this.#unsure.add(partition)
    this.#tend()
    this.#startReaders()
  }

  #startReaders(): void {
    for (const reader of this.#readers) this.#startReader(reader)
    if (this.#unsure.size > 0) this.#tend()
  }

  /** Has a reader read, but where entries that are in hand already are yet to be found and read: else those pile up. */
  #startReader(reader: PartitionReader): void {
    if (this.#wanted === 0 || !this.#connection.isUsable) return
    const isBehind = (partition: number) => this.#unsure.has(partition) || this.#leases.unread(partition) > 0
    reader.start(
      this.#wanted,
      reader.partitions.filter(partition => !isBehind(partition)),
    )
  }

  #arrived(partition: number, entries: readonly EntryReply[]): void {
    this.#hasGroup(partition)
    // Some may have been found on the other way already, see `recoverOwn`.
    const fresh = entries.filter(([id]) => !this.#leases.has(partition, id))
    for (const [id] of fresh) this.#leases.add(partition, id)
    this.#add(fresh.map(entry => readEntry(partition, entry, false)))
  }

  #add(entries: readonly QueuedEvent[]): void {
    if (entries.length > 0) {
      const chars = entries.reduce((sum, { chars }) => sum + chars, 0)
      this.#entryChars += (chars / entries.length - this.#entryChars) / 4
    }
    this.#ready.add(entries)
    this.#wake()
  }

  /** Renews what is in hand, finds what answers lost, takes over what others left. */
  #tend(): void {
    if (this.#tending || this.#isClosed || !this.#connection?.isUsable || !this.#leases) return
    this.#tending = this.#tendAll()
      .catch((error: unknown) => {
        this.#options.log.warn({ reason: redisReason(error) }, 'tending the leases of the queue failed, trying again')
      })
      .finally(() => {
        this.#tending = undefined
        for (const reader of this.#readers) this.#startReader(reader)
      })
  }

  async #tendAll(): Promise<void> {
    await this.#leases.renew()
    this.#ready.keep(({ partition, entryId }) => this.#leases.has(partition, entryId))
    const { partitions } = this.#connection
    this.#isBehind = false
    const failures: unknown[] = []
    for (let count = 0; count < partitions && this.#connection.isUsable; count++) {
      const partition = this.#tendNext % partitions
      try {
        if (!(await this.#catchUp(partition))) break
      } catch (error) {
        if (isNoGroup(error)) await this.#createGroup(partition)
        else {
          // Others must not wait for one that can't be read.
          this.#unsure.add(partition)
          failures.push(error)
        }
      }
      this.#tendNext = (partition + 1) % partitions
    }
    if (failures.length > 0) throw failures[0]
  }

  /** @returns false when there is no room for all that is in hand, or can be taken over */
  async #catchUp(partition: number): Promise<boolean> {
    if (this.#unsure.delete(partition)) await this.#leases.recoverOwn(partition)
    for (let isThrough = false; ;) {
      // Not more than somebody asks for: what is in hand here is out of reach of others. `take` comes back to it.
      this.#isBehind = this.#ready.size >= readyMax || this.#ready.chars >= readyCharsMax
      if (this.#isBehind || this.#isClosed) return false
      if (this.#leases.unread(partition) > 0) {
        const events = await this.#leases.readNext(partition)
        this.#takenOverTotal.inc(events.length)
        this.#add(events)
      } else if (isThrough) return true
      else isThrough = await this.#leases.takeOver(partition)
    }
  }

  #hasGroup(partition: number): void {
    if (this.#groupless.delete(partition) && this.#groupless.size === 0) {
      this.#options.health.set('queue-group', undefined)
    }
  }

  async #createGroup(partition: number): Promise<void> {
    const { log, health } = this.#options
    try {
      await createGroup(this.#connection.redis, partition)
      this.#hasGroup(partition)
    } catch (error) {
      const reason = redisReason(error)
      const key = partitionKeys(partition).events
      if (this.#groupless.size === 0) log.warn({ key, reason }, 'the consumer group can not be made, trying again')
      this.#groupless.add(partition)
      health.set(
        'queue-group',
        isWrongType(error)
          ? `${key} in Redis holds something else than the queue: rename or delete it`
          : `events wait that can't be read, for Redis makes no consumer group (${reason}): ` +
              'give it memory (maxmemory) or the permission; nothing is lost',
      )
      await new Promise(resolve => setTimeout(resolve, 200))
    }
  }
}
