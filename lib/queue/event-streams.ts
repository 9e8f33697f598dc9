/**
 * The streams of all partitions, as a producer writes to them: each group of events to one of them, in turn, for a feeder
 * reads all, and nothing depends on in which stream an event of a message is. One whose key holds something else
 * (somebody's SET) is left out until the key is free again.
 */
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import type { Confirmation } from './confirmed-events.ts'
import { makeAppend } from './append-command.ts'
import { createGroup } from './consumer-group.ts'
import { appendEntries } from './grouped-write.ts'
import { partitionKeys } from './partition.ts'
import type { PartitionedRedis } from './partitioned-redis.ts'
import { answered, isWrongType, unlessWrongType } from './redis.ts'
import type { Slabs } from './slabs.ts'

export class EventStreams {
  readonly #connection: PartitionedRedis
  readonly #slabs: Slabs
  readonly #log: Logger
  readonly #health: Health
  readonly #isReady: () => boolean
  /** Partitions whose key holds no stream. */
  #refusing: ReadonlySet<number> = new Set()
  /** The partition that was written to last. */
  #partition = 0

  /**
   * @param slabs where what is sent is kept
   * @param isReady whether something may be appended now
   */
  constructor(connection: PartitionedRedis, slabs: Slabs, isReady: () => boolean, log: Logger, health: Health) {
    this.#connection = connection
    this.#slabs = slabs
    this.#isReady = isReady
    this.#log = log
    this.#health = health
  }

  /** Whether a partition is left out: `length` finds out when it is free again. */
  get isRefused(): boolean {
    return this.#refusing.size > 0
  }

  /**
   * Appends entries to one of the streams, all or none. What one refuses is sent to another at once.
   * @param entries JSON texts, one at least
   * @throws Error when Redis did not confirm them; they may be written all the same
   */
  async append(entries: readonly string[]): Promise<Confirmation> {
    const sentAt = performance.now()
    for (;;) {
      if (!this.#isReady()) throw new Error('not connected')
      const { redis, runId } = this.#connection
      const partition = this.#nextPartition()
      const stream = partitionKeys(partition).events
      const command = makeAppend(this.#slabs, stream, entries)
      try {
        const lastId = await answered(appendEntries(redis, stream, command))
        return { stream, command, lastId, runId, sentAt }
      } catch (error) {
        if (!isWrongType(error) || !this.#leaveOut(partition)) throw error
        this.#slabs.release(command)
      }
    }
  }

  /**
   * Entries in all streams.
   * @throws Error when Redis does not answer
   */
  async length(): Promise<number> {
    const { redis, partitions } = this.#connection
    const lengthOf = (partition: number) => unlessWrongType(answered(redis.xlen(partitionKeys(partition).events)))
    const lengths = await Promise.all(Array.from({ length: partitions }, (_, partition) => lengthOf(partition)))
    this.#setRefusing(new Set([...lengths.keys()].filter(partition => lengths[partition] === undefined)))
    return lengths.reduce<number>((sum, length = 0) => sum + length, 0)
  }

  /** Makes what a feeder needs to read them; at worst the feeder does it. Never rejects. */
  async createGroups(): Promise<void> {
    const { redis, partitions } = this.#connection
    await Promise.allSettled(Array.from({ length: partitions }, (_, partition) => createGroup(redis, partition)))
  }

  #nextPartition(): number {
    const { partitions } = this.#connection
    do this.#partition = (this.#partition + 1) % partitions
    while (this.#refusing.has(this.#partition) && this.#refusing.size < partitions)
    return this.#partition
  }

  /** @returns whether there is another for its events */
  #leaveOut(partition: number): boolean {
    if (!this.#refusing.has(partition)) this.#setRefusing(new Set([...this.#refusing, partition]))
    return this.#refusing.size < this.#connection.partitions
  }

  #setRefusing(refusing: ReadonlySet<number>): void {
    if (refusing.size === 0 && this.#refusing.size === 0) return
    const keys = Array.from(refusing, partition => partitionKeys(partition).events)
    for (const partition of refusing) {
      if (this.#refusing.has(partition)) continue
      const { events: key } = partitionKeys(partition)
      this.#log.warn({ key }, 'a key of the queue holds no stream: its events go to the other partitions')
    }
    if (refusing.size === 0) this.#log.info('all keys of the queue are streams again')
    this.#refusing = refusing
    this.#health.set(
      'queue-key',
      keys.length === 0
        ? undefined
        : `${keys.join(', ')} in Redis holds something else than the queue: rename or delete it; ` +
            'until then its events go to the other partitions',
    )
  }
}
