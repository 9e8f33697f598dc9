/**
 * Waits for new entries of some partitions, on a connection of its own: a blocking read holds up everything behind it.
 *
 * With one partition it blocks there, so that an entry is handed over as soon as it is written. With several it asks
 * each without blocking, then blocks at one of them, in turn, for `sharedBlockMs`: that is the longest that an entry of
 * another one lies unseen. No command names the keys of two partitions, for a Redis Cluster may hold them on different
 * nodes.
 */
import type { Redis } from 'ioredis'
import { AnswerLimit } from './answer-limit.ts'
import { isNoGroup } from './consumer-group.ts'
import { consumerGroup, partitionKeys } from './partition.ts'
import type { EntryReply } from './queue-entry.ts'
import { answered, connectRedis, reconnect, redisReason, type RedisHooks } from './redis.ts'

type StreamReply = readonly (readonly [key: string, entries: readonly EntryReply[]])[]

/** Longest that Redis holds a read back, in milliseconds. */
const blockMs = 500
const sharedBlockMs = 100
/** How much later than promised an answer may come before the connection is taken for dead, in milliseconds. */
const graceMs = 2_000
/** Pause after a failure, in milliseconds. */
const pauseMs = 100
/** Most that is received before an answer is done with, in bytes. Entries may be as large as Redis lets them be. */
const answerBytesMax = 8_000_000

export interface PartitionReaderOptions extends RedisHooks {
  readonly redisUrl: string
  readonly consumer: string
  /** Takes what was read. */
  readonly onEntries: (partition: number, entries: readonly EntryReply[]) => void
  /** Told when an answer was lost: Redis may have given entries to this consumer that never arrived. */
  readonly onLost: (partition: number) => void
  /** Told when a read has ended, with or without entries. */
  readonly onIdle: (reader: PartitionReader) => unknown
  /** Asked to make stream and group, when somebody removed them. */
  readonly createGroup: (partition: number) => Promise<void>
}

export class PartitionReader {
  /** The partitions it serves. */
  partitions: readonly number[] = []
  readonly #redis: Redis
  /** Cuts an answer that is too large: what Redis counts as given is found and read in parts, see `Leases`. */
  readonly #limit: AnswerLimit
  readonly #options: PartitionReaderOptions
  #turn = 0
  /** Why reading failed, as it was told. */
  #told: string | undefined
  #reading: Promise<void> | undefined
  #isClosed = false

  constructor(options: PartitionReaderOptions) {
    this.#options = options
    this.#redis = connectRedis(options.redisUrl, 'consumer', options)
    this.#limit = new AnswerLimit(this.#redis, answerBytesMax)
  }

  /**
   * Begins to read some of its partitions, up to `max` entries of each, unless it does already. Ends at the first entries or
   * after `blockMs`.
   */
  start(max: number, partitions: readonly number[]): void {
    if (this.#isClosed || this.#reading || partitions.length === 0) return
    this.#reading = this.#limit
      .during(() => this.#read(max, partitions))
      .finally(() => {
        this.#reading = undefined
        if (!this.#isClosed) this.#options.onIdle(this)
      })
  }

  /** Waits for the read under way, so that nothing it brings is lost, then gives up the connection. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#reading
    this.#redis.disconnect()
  }

  async #read(max: number, partitions: readonly number[]): Promise<void> {
    await this.#ready()
    if (partitions.length === 1) {
      await this.#readPartition(partitions[0]!, max, blockMs)
      return
    }
    const found = await Promise.all(partitions.map(partition => this.#readPartition(partition, max)))
    if (found.some(Boolean)) return
    this.#turn = (this.#turn + 1) % partitions.length
    await this.#readPartition(partitions[this.#turn]!, max, sharedBlockMs)
  }

  /** Waits a moment for the connection, which may just be being made. */
  #ready(): Promise<void> {
    const redis = this.#redis
    if (redis.status === 'ready') return Promise.resolve()
    return new Promise(resolve => {
      const settle = () => {
        redis.off('ready', settle)
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(settle, blockMs)
      redis.on('ready', settle)
    })
  }

  /** @returns whether something was there */
  async #readPartition(partition: number, max: number, block?: number): Promise<boolean> {
    const { consumer, log, onEntries, onLost, createGroup } = this.#options
    const { events } = partitionKeys(partition)
    const redis = this.#redis
    try {
      const read =
        block === undefined
          ? redis.xreadgroup('GROUP', consumerGroup, consumer, 'COUNT', max, 'STREAMS', events, '>')
          : redis.xreadgroup('GROUP', consumerGroup, consumer, 'COUNT', max, 'BLOCK', block, 'STREAMS', events, '>')
      const reply = (await answered(read, (block ?? 0) + graceMs)) as StreamReply | null
      this.#told = undefined
      const entries = reply?.[0]?.[1] ?? []
      if (entries.length > 0) onEntries(partition, entries)
      return entries.length > 0
    } catch (error) {
      if (isNoGroup(error)) {
        await createGroup(partition)
        return false
      }
      onLost(partition)
      const reason = redisReason(error)
      // An answer that still comes would be nobody's.
      const isCut = reconnect(redis)
      if (isCut && !this.#isClosed && reason !== this.#told) {
        this.#told = reason
        log.warn({ reason }, 'reading the queue failed, trying again')
      } else log.debug({ reason, status: redis.status }, 'reading the queue failed')
      if (!this.#isClosed) await new Promise(resolve => setTimeout(resolve, pauseMs))
      return false
    }
  }
}
