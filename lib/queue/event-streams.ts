/**
 * The streams of all partitions, as a producer writes to them. One whose key holds something else (somebody's SET) takes no
 * entries: its events go to the others, for a feeder reads all, until the key is free again. Nothing else depends on in which
 * stream an event of a message is.
 */
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import type { Confirmation } from './confirmed-events.ts'
import { createGroup } from './consumer-group.ts'
import { appendEntries } from './grouped-write.ts'
import { partitionKeys, partitionOf } from './partition.ts'
import type { PartitionedRedis } from './partitioned-redis.ts'
import { answered, inOneWrite, isWrongType } from './redis.ts'

/** An event to append. */
export interface Entry {
  readonly messageId: string
  readonly json: string
}

/** Told once for each part of what is appended: how Redis confirmed it, or that it did not. */
export type Settle<Item extends Entry> = (items: readonly Item[], confirmation: Confirmation | undefined) => void

export class EventStreams {
  readonly #connection: PartitionedRedis
  readonly #log: Logger
  readonly #health: Health
  readonly #isReady: () => boolean
  /** Partitions whose key holds no stream. */
  #refusing: ReadonlySet<number> = new Set()

  /** @param isReady whether something may be appended now */
  constructor(connection: PartitionedRedis, isReady: () => boolean, log: Logger, health: Health) {
    this.#connection = connection
    this.#isReady = isReady
    this.#log = log
    this.#health = health
  }

  /** Whether a partition is left out: `length` finds out when it is free again. */
  get isRefused(): boolean {
    return this.#refusing.size > 0
  }

  /**
   * Sends items to their partitions, one command each, all in one write. What a partition refuses is sent to the others
   * at once: nothing of it was written.
   * @returns why some were not confirmed; empty when all were. Never rejects.
   */
  async append<Item extends Entry>(group: readonly Item[], settle: Settle<Item>): Promise<readonly unknown[]> {
    if (!this.#isReady()) {
      settle(group, undefined)
      return [new Error('not connected')]
    }
    const { redis, runId } = this.#connection
    const sentAt = performance.now()
    const byPartition = new Map<number, Item[]>()
    for (const item of group) {
      const partition = this.#partitionFor(item.messageId)
      const items = byPartition.get(partition)
      if (items) items.push(item)
      else byPartition.set(partition, [item])
    }
    const failures: unknown[] = []
    const refused: Item[] = []
    const send = async ([partition, items]: [number, Item[]]) => {
      const stream = partitionKeys(partition).events
      const entries = items.map(({ json }) => json)
      try {
        const lastId = await answered(appendEntries(redis, stream, entries))
        settle(items, { stream, entries, lastId, runId, sentAt })
      } catch (error) {
        if (isWrongType(error) && this.#leaveOut(partition)) {
          for (const item of items) refused.push(item)
          return
        }
        failures.push(error)
        settle(items, undefined)
      }
    }
    await Promise.all(inOneWrite(redis, () => Array.from(byPartition, send)))
    if (refused.length > 0) failures.push(...(await this.append(refused, settle)))
    return failures
  }

  /**
   * Entries in all streams.
   * @throws Error when Redis does not answer
   */
  async length(): Promise<number> {
    const { redis, partitions } = this.#connection
    const refusing = new Set<number>()
    const lengthOf = async (partition: number) => {
      try {
        return await answered(redis.xlen(partitionKeys(partition).events))
      } catch (error) {
        if (!isWrongType(error)) throw error
        refusing.add(partition)
        return 0
      }
    }
    const lengths = await Promise.all(Array.from({ length: partitions }, (_, partition) => lengthOf(partition)))
    this.#setRefusing(refusing)
    return lengths.reduce((sum, length) => sum + length, 0)
  }

  /** Makes what a feeder needs to read them; at worst the feeder does it. Never rejects. */
  async createGroups(): Promise<void> {
    const { redis, partitions } = this.#connection
    await Promise.allSettled(Array.from({ length: partitions }, (_, partition) => createGroup(redis, partition)))
  }

  #partitionFor(messageId: string): number {
    const { partitions } = this.#connection
    let partition = partitionOf(messageId, partitions)
    if (this.#refusing.size === 0 || this.#refusing.size >= partitions) return partition
    while (this.#refusing.has(partition)) partition = (partition + 1) % partitions
    return partition
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
