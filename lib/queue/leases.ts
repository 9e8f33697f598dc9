/**
 * Who has which entries: what this consumer has in hand, kept from being given to others for as long as it lives, and
 * what others had when they fell silent.
 */
import { isNoGroup } from './consumer-group.ts'
import { consumerGroup, partitionKeys } from './partition.ts'
import type { PartitionedRedis } from './partitioned-redis.ts'
import { readEntry, type QueuedEvent } from './queue-entry.ts'
import { readEntries } from './read-entries.ts'

/** Longest wait for the answer to a command, in milliseconds. */
export const commandMs = 2_000
/** The same for one that reads entries, of which one may be very large. */
const readMs = 4_500
/** Entries that one command names at most. */
export const idsMax = 500

export class Leases {
  readonly #connection: PartitionedRedis
  readonly #consumer: string
  readonly #leaseMs: number
  /** Entry ids by partition. */
  readonly #inHand = new Map<number, Set<string>>()
  /** By partition, those in hand whose contents are not read yet. */
  readonly #unread = new Map<number, string[]>()
  /** By partition, how far `takeOver` has looked. */
  readonly #cursors = new Map<number, string>()
  /** Since when all that is in hand is certainly ours. */
  #renewedAt = performance.now()

  constructor(connection: PartitionedRedis, consumer: string, leaseMs: number) {
    this.#connection = connection
    this.#consumer = consumer
    this.#leaseMs = leaseMs
  }

  /** How many entries are in hand and read. */
  get size(): number {
    let sum = 0
    for (const ids of this.#inHand.values()) sum += ids.size
    for (const ids of this.#unread.values()) sum -= ids.length
    return sum
  }

  /** How many entries of a partition are in hand and wait for `readNext`. */
  unread(partition: number): number {
    return this.#unread.get(partition)?.length ?? 0
  }

  has(partition: number, entryId: string): boolean {
    return this.#inHand.get(partition)?.has(entryId) === true
  }

  add(partition: number, entryId: string): void {
    const ids = this.#inHand.get(partition)
    if (ids) ids.add(entryId)
    else this.#inHand.set(partition, new Set([entryId]))
  }

  /** @returns whether it was in hand */
  delete(partition: number, entryId: string): boolean {
    return this.#inHand.get(partition)?.delete(entryId) === true
  }

  /**
   * Renews the lease of all that is in hand, unless that was done a moment ago. What another consumer took over
   * meanwhile, because this one was silent for too long, is in hand no more.
   * @throws Error when Redis does not answer
   */
  async renew(): Promise<void> {
    const startedAt = performance.now()
    if (startedAt - this.#renewedAt < this.#leaseMs / 4) return
    const mayBeLost = startedAt - this.#renewedAt > this.#leaseMs
    for (const [partition, ids] of this.#inHand) {
      if (ids.size === 0) continue
      await this.#unlessGone(async () => {
        if (mayBeLost) await this.#forgetLost(partition, ids)
        await this.#claim(partition, [...ids], [])
      })
    }
    this.#renewedAt = startedAt
  }

  /** Gives up all that is in hand, so that another consumer may have it at once. @throws Error when Redis does not answer */
  async giveBack(): Promise<void> {
    if (performance.now() - this.#renewedAt > this.#leaseMs) return
    for (const [partition, ids] of this.#inHand) {
      await this.#unlessGone(() => this.#claim(partition, [...ids], ['IDLE', this.#leaseMs]))
      ids.clear()
      this.#unread.delete(partition)
    }
  }

  /**
   * Looks through a part of what consumers of a partition have in hand and takes what has not been renewed for longer
   * than the lease; that is in hand here then, to be read. The next call goes on behind that part.
   * @returns whether all has been looked through
   * @throws Error when Redis does not answer, or has no such group
   */
  async takeOver(partition: number): Promise<boolean> {
    const { events } = partitionKeys(partition)
    const { redis } = this.#connection
    const from = this.#cursors.get(partition) ?? '0-0'
    const [next, ids] = (await this.#connection.answer(
      redis.xautoclaim(events, consumerGroup, this.#consumer, this.#leaseMs, from, 'COUNT', idsMax, 'JUSTID'),
      commandMs,
    )) as [cursor: string, ids: string[]]
    this.#cursors.set(partition, next)
    this.#toRead(partition, ids)
    return next === '0-0'
  }

  /**
   * Finds what Redis holds for this consumer and it does not know of, because an answer was lost or it had the same name in
   * a former life. It is in hand then, to be read.
   * @throws Error when Redis does not answer, or has no such group
   */
  async recoverOwn(partition: number): Promise<void> {
    this.#toRead(partition, await this.#pendingOwn(partition))
  }

  /**
   * Reads the next of those entries: some of them, so that the answer has a bounded size.
   * @throws Error when Redis does not answer
   */
  async readNext(partition: number): Promise<QueuedEvent[]> {
    const { redis } = this.#connection
    const { events } = partitionKeys(partition)
    const unread = this.#unread.get(partition) ?? []
    const ids = unread.slice(0, idsMax)
    const [first] = ids
    if (first === undefined) return []
    const entries = await this.#connection.answer(readEntries(redis, events, ids), readMs)
    const deleted = entries.filter(([, fields]) => fields === null).map(([id]) => id)
    if (deleted.length > 0) await this.#connection.answer(redis.xack(events, consumerGroup, ...deleted), commandMs)
    for (const id of deleted) this.delete(partition, id)
    unread.splice(0, entries.length)
    return entries.filter(([, fields]) => fields !== null).map(entry => readEntry(partition, entry, true))
  }

  /** Does it unless there is no such group any more: nobody else can have its entries, and other partitions have their turn. */
  async #unlessGone(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!isNoGroup(error)) throw error
    }
  }

  #toRead(partition: number, ids: readonly string[]): void {
    const unread = this.#unread.get(partition) ?? []
    this.#unread.set(partition, unread)
    for (const id of ids) {
      if (this.has(partition, id)) continue
      this.add(partition, id)
      unread.push(id)
    }
  }

  async #forgetLost(partition: number, ids: Set<string>): Promise<void> {
    const ours = new Set(await this.#pendingOwn(partition))
    for (const id of ids) if (!ours.has(id)) ids.delete(id)
    this.#unread.set(
      partition,
      (this.#unread.get(partition) ?? []).filter(id => ids.has(id)),
    )
  }

  /** The ids of all that Redis holds for this consumer. */
  async #pendingOwn(partition: number): Promise<string[]> {
    const { events } = partitionKeys(partition)
    const ids: string[] = []
    for (let from = '-'; ;) {
      const pending = (await this.#connection.answer(
        this.#connection.redis.xpending(events, consumerGroup, from, '+', 2 * idsMax, this.#consumer),
        commandMs,
      )) as [id: string][]
      for (const [id] of pending) ids.push(id)
      const last = pending.at(-1)
      if (!last || pending.length < 2 * idsMax) return ids
      from = `(${last[0]}`
    }
  }

  async #claim(partition: number, ids: readonly string[], options: readonly (string | number)[]): Promise<void> {
    const { events } = partitionKeys(partition)
    for (let at = 0; at < ids.length; at += idsMax) {
      const some = ids.slice(at, at + idsMax)
      await this.#connection.answer(
        this.#connection.redis.xclaim(events, consumerGroup, this.#consumer, 0, ...some, ...options, 'JUSTID'),
        commandMs,
      )
    }
  }
}
