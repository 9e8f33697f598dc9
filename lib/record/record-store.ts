/** Where the records of messages are kept: in Redis, each for a limited time. */
import { Counter, type Registry } from '../process/prometheus.ts'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { setWithExpiry } from '../queue/grouped-write.ts'
import { partitionOf } from '../queue/partition.ts'
import { PartitionedRedis } from '../queue/partitioned-redis.ts'
import { RecentlyConfirmed } from '../queue/recently-confirmed.ts'
import { redisReason } from '../queue/redis.ts'
import {
  decodeRecord,
  encodeRecord,
  mergeRecords,
  messageIdOf,
  recordKeyIn,
  type MessageRecord,
  type RecordWriter,
} from './record.ts'
import { RecordReader } from './record-reader.ts'

export interface RecordStoreOptions {
  readonly redisUrl: string
  readonly partitions: number
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Beginning of the metrics' names: the process. */
  readonly prefix: string
  /** It will store none: nothing is counted. */
  readonly isReadOnly?: boolean
  /** Bytes of records kept in memory in case that Redis loses what it has just confirmed. 8 MB. */
  readonly confirmedBytesMax?: number
}

/** A record and the message that it is of. */
export interface RecordEntry {
  readonly messageId: string
  readonly record: MessageRecord
}

interface Put extends RecordEntry {
  readonly writer: RecordWriter
  readonly ttlSeconds: number
}

/** Records of one partition that live as long: one command. */
interface Command {
  readonly keys: string[]
  readonly values: string[]
  readonly ttlSeconds: number
}

/** Records that share a round trip at most. */
const groupMax = 2_000
/** Records that `put` keeps while Redis is away (about 20 MB); what comes beyond that is lost. */
const waitingMax = 50_000
/** Longest wait for an answer, in milliseconds. */
const groupMs = 2_000
/** How long `put` waits before it tries again after a failure, in milliseconds. */
const retryMs = 1_000
/**
 * How long `put` waits for more to come along, in milliseconds. A command for each record costs the wrapper a tenth of
 * its CPU; a process that is killed loses what it put within this time.
 */
const gatherMs = 20

export class RecordStore {
  #connection!: PartitionedRedis
  #reader!: RecordReader
  #waiting: Put[] = []
  #isSending = false
  #sending: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  #isLosing = false
  readonly #confirmed: RecentlyConfirmed<Command>
  /** The run of Redis that has again all that others confirmed. */
  #restoredRun = ''
  #restoring: Promise<void> | undefined
  readonly #log: Logger
  readonly #total: Counter<'outcome'>

  private constructor({ log, metrics, prefix, isReadOnly = false, confirmedBytesMax = 8e6 }: RecordStoreOptions) {
    this.#log = log
    this.#confirmed = new RecentlyConfirmed(confirmedBytesMax)
    this.#total = new Counter({
      name: `${prefix}_records_total`,
      help: 'Records of messages, by what became of them: stored in Redis, or lost because Redis was away too long.',
      labelNames: ['outcome'],
      registers: isReadOnly ? [] : [metrics],
    })
    for (const outcome of ['stored', 'lost']) this.#total.inc({ outcome }, 0)
  }

  /**
   * Starts also while Redis is down.
   * @throws {StartError} when Redis is up and not fit for the queue
   */
  static async open(options: RecordStoreOptions): Promise<RecordStore> {
    const store = new RecordStore(options)
    store.#connection = await PartitionedRedis.open({ ...options, role: 'store', onUsable: () => store.#usable() })
    store.#reader = new RecordReader(store.#connection, options.log)
    return store
  }

  /** Stores a record as soon as Redis takes it. Nothing to wait for: at worst it is lost, and counted. */
  put(writer: RecordWriter, messageId: string, record: MessageRecord, ttlSeconds: number): void {
    if (this.#isClosed || this.#waiting.length >= waitingMax) {
      this.#total.inc({ outcome: 'lost' })
      if (!this.#isLosing) this.#log.error({ kept: waitingMax }, 'records are lost: Redis has been away for too long')
      this.#isLosing = true
      return
    }
    this.#waiting.push({ writer, messageId, record, ttlSeconds })
    this.#schedule()
  }

  /**
   * Stores records.
   * @throws Error when not all were confirmed; storing them again does no harm
   */
  async putMany(writer: RecordWriter, entries: readonly RecordEntry[], ttlSeconds: number): Promise<void> {
    for (let at = 0; at < entries.length; at += groupMax) {
      const group = entries.slice(at, at + groupMax)
      await this.#store(group.map(({ messageId, record }) => ({ writer, messageId, record, ttlSeconds })))
    }
  }

  /**
   * What is known of these messages; those of which nothing is known are absent. One command a partition.
   * @throws Error when Redis did not answer
   */
  async getMany(messageIds: readonly string[]): Promise<Map<string, MessageRecord>> {
    const { partitions } = this.#connection
    const byPartition = new Map<number, string[]>()
    for (const messageId of new Set(messageIds)) {
      const partition = partitionOf(messageId, partitions)
      const ids = byPartition.get(partition)
      if (ids) ids.push(messageId)
      else byPartition.set(partition, [messageId])
    }
    const records = new Map<string, MessageRecord>()
    await Promise.all(
      Array.from(byPartition, async ([partition, ids]) => {
        const keys: string[] = []
        for (const id of ids) {
          keys.push(recordKeyIn(partition, 'wrapper', id), recordKeyIn(partition, 'accounting', id))
        }
        const texts = await this.#reader.read(keys, groupMs)
        for (const [index, id] of ids.entries()) {
          const record = mergeRecords(texts[2 * index], texts[2 * index + 1])
          if (record) records.set(id, record)
        }
      }),
    )
    return records
  }

  /**
   * Records that Redis confirmed a moment ago and may have lost: all of them while it is not there to tell. For whoever
   * ends and can keep them longer; storing them again does no harm.
   */
  mayBeLost(): RecordEntry[] {
    const { isUsable } = this.#connection
    return [...this.#confirmed.ofOtherRuns(isUsable ? this.#restoredRun : undefined).values()]
      .flat()
      .flatMap(({ keys, values }) =>
        keys.flatMap((key, index) => {
          const record = decodeRecord(values[index]!)
          return record ? [{ messageId: messageIdOf(key), record }] : []
        }),
      )
  }

  /** Stores what waits, for at most 2 s, then gives up the connection; idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#sending
    const deadline = performance.now() + groupMs
    while (this.#waiting.length > 0 && this.#connection.isUsable && performance.now() < deadline) {
      await this.#sendWaiting()
    }
    this.#total.inc({ outcome: 'lost' }, this.#waiting.length)
    this.#waiting = []
    this.#connection.close()
  }

  #usable(): void {
    this.#schedule()
    // The first time `open` is not through yet, and nothing was stored.
    if (!this.#connection) return
    this.#restore().catch(() => {
      if (!this.#isClosed && this.#connection.isUsable) setTimeout(() => this.#usable(), retryMs).unref()
    })
  }

  /** Sends what waits, after a while; at most one such wait is under way. */
  #schedule(waitMs = gatherMs): void {
    if (this.#timer || this.#isSending || this.#isClosed || this.#waiting.length === 0) return
    if (!this.#connection?.isUsable) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#sending = this.#sendWaiting()
    }, waitMs)
  }

  async #sendWaiting(): Promise<void> {
    this.#isSending = true
    const group = this.#waiting.splice(0, groupMax)
    try {
      await this.#store(group)
      this.#isSending = false
      this.#isLosing = false
      this.#schedule()
    } catch (error) {
      this.#waiting.unshift(...group)
      this.#isSending = false
      if (this.#isClosed || !this.#connection.isUsable) return
      this.#log.warn({ reason: redisReason(error) }, 'Redis did not take records of messages, trying again')
      this.#schedule(retryMs)
    }
  }

  async #store(group: readonly Put[]): Promise<void> {
    // First, for a record may take the place of one that was lost.
    await this.#restore()
    const { partitions } = this.#connection
    const commands = new Map<string, Command>()
    for (const { writer, messageId, record, ttlSeconds } of group) {
      const partition = partitionOf(messageId, partitions)
      const name = `${partition} ${ttlSeconds}`
      let command = commands.get(name)
      if (!command) commands.set(name, (command = { keys: [], values: [], ttlSeconds }))
      command.keys.push(recordKeyIn(partition, writer, messageId))
      command.values.push(encodeRecord(record))
    }
    await Promise.all(Array.from(commands.values(), command => this.#set(command)))
    this.#total.inc({ outcome: 'stored' }, group.length)
  }

  async #set(command: Command): Promise<void> {
    const { runId } = this.#connection
    const sentAt = performance.now()
    await this.#send(command)
    this.#confirmed.add(command, bytesOf(command), runId, sentAt)
  }

  /** @throws Error when it was not confirmed */
  async #send({ keys, values, ttlSeconds }: Command): Promise<void> {
    // One that has not told yet which run of Redis it leads to may lead to another than the last.
    if (!this.#connection.isUsable) throw new Error('not connected')
    await this.#connection.answer(setWithExpiry(this.#connection.redis, keys, values, ttlSeconds), groupMs)
  }

  /**
   * After Redis has died and come back, or another took its place: stores again what it had confirmed a moment before.
   * @throws Error when not all was confirmed
   */
  async #restore(): Promise<void> {
    // While that was done for one run the next may have begun.
    while (this.#connection.runId !== this.#restoredRun) {
      this.#restoring ??= this.#setLost(this.#connection.runId).finally(() => (this.#restoring = undefined))
      await this.#restoring
    }
  }

  async #setLost(runId: string): Promise<void> {
    const sentAt = performance.now()
    const lost = [...this.#confirmed.ofOtherRuns(runId).values()].flat()
    for (const command of lost) {
      if (this.#connection.runId !== runId) throw new Error('the connection was closed')
      await this.#send(command)
    }
    // Not before the last is there: should this run die too, all have to be stored again, in the same order.
    this.#confirmed.forget(lost)
    for (const command of lost) this.#confirmed.add(command, bytesOf(command), runId, sentAt)
    this.#restoredRun = runId
  }
}

/** About what it takes in memory. */
function bytesOf({ keys, values }: Command): number {
  let bytes = 0
  for (const [index, key] of keys.entries()) bytes += key.length + values[index]!.length + 64
  return bytes
}
