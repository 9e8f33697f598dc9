/**
 * Who has which entries: what this consumer has in hand, kept from being given to others for as long as it lives, and
 * what others had when they fell silent.
 */
import { consumerGroup, partitionKeys } from './partition.ts'
import type { PartitionedRedis } from './partitioned-redis.ts'
import { readEntry, type EntryReply, type QueuedEvent } from './queue-entry.ts'

/** Longest wait for the answer to a command, in milliseconds. */
export const commandMs = 2_000
/** Entries that one command names at most. */
export const idsMax = 500

export class Leases {
  readonly #connection: PartitionedRedis
  readonly #consumer: string
  readonly #leaseMs: number
  /** Entry ids by partition. */
  readonly #inHand = new Map<number, Set<string>>()
  /** By partition, how far `takeOver` has looked. */
  readonly #cursors = new Map<number, string>()
  /** Since when all that is in hand is certainly ours. */
  #renewedAt = performance.now()

  constructor(connection: PartitionedRedis, consumer: string, leaseMs: number) {
    this.#connection = connection
    this.#consumer = consumer
    this.#leaseMs = leaseMs
  }

  /** How many entries are in hand. */
  get size(): number {
    let sum = 0
    for (const ids of this.#inHand.values()) sum += ids.size
    return sum
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
      if (mayBeLost) await this.#forgetLost(partition, ids)
      await this.#claim(partition, [...ids], [])
    }
    this.#renewedAt = startedAt
  }

  /** Gives up all that is in hand, so that another consumer may have it at once. @throws Error when Redis does not answer */
  async giveBack(): Promise<void> {
    if (performance.now() - this.#renewedAt > this.#leaseMs) return
    for (const [partition, ids] of this.#inHand) {
      await this.#claim(partition, [...ids], ['IDLE', this.#leaseMs])
      ids.clear()
    }
  }

  /**
   * Looks through a part of what consumers of a partition have in hand and takes what has not been renewed for longer
   * than the lease; that is in hand here then. The next call goes on behind that part.
   * @returns what was taken, and whether all has been looked through
   * @throws Error when Redis does not answer, or has no such group
   */
  async takeOver(partition: number): Promise<{ readonly events: QueuedEvent[]; readonly isThrough: boolean }> {
    const { events } = partitionKeys(partition)
    const { redis } = this.#connection
    const from = this.#cursors.get(partition) ?? '0-0'
    const [next, entries] = (await this.#connection.answer(
      redis.xautoclaim(events, consumerGroup, this.#consumer, this.#leaseMs, from, 'COUNT', idsMax),
      commandMs,
    )) as [cursor: string, entries: (EntryReply | null)[]]
    this.#cursors.set(partition, next)
    const found = entries.filter(entry => entry !== null)
    return { events: await this.#receive(partition, found), isThrough: next === '0-0' }
  }

  /**
   * What Redis holds for this consumer and it does not know of, because an answer was lost or it had the same name in a
   * former life. They are in hand then.
   * @throws Error when Redis does not answer, or has no such group; what was found before that was handed over
   */
  async recoverOwn(partition: number, onFound: (events: readonly QueuedEvent[]) => void): Promise<void> {
    const { events } = partitionKeys(partition)
    for (let after = '0'; ;) {
      const reply = (await this.#connection.answer(
        this.#connection.redis.xreadgroup(
          'GROUP',
          consumerGroup,
          this.#consumer,
          'COUNT',
          idsMax,
          'STREAMS',
          events,
          after,
        ),
        commandMs,
      )) as [key: string, entries: EntryReply[]][] | null
      const entries = reply?.[0]?.[1] ?? []
      onFound(await this.#receive(partition, entries))
      const last = entries.at(-1)
      if (!last) return
      after = last[0]
    }
  }

  /** Takes entries in hand that were given to a consumer before. */
  async #receive(partition: number, entries: readonly EntryReply[]): Promise<QueuedEvent[]> {
    const { redis } = this.#connection
    const { events } = partitionKeys(partition)
    const deleted = entries.filter(([, fields]) => fields === null).map(([id]) => id)
    if (deleted.length > 0) await this.#connection.answer(redis.xack(events, consumerGroup, ...deleted), commandMs)
    const fresh = entries.filter(([id, fields]) => fields !== null && !this.has(partition, id))
    const first = fresh[0]
    const last = fresh.at(-1)
    if (!first || !last) return []
    for (const [id] of fresh) this.add(partition, id)
    const pending = (await this.#connection
      .answer(redis.xpending(events, consumerGroup, first[0], last[0], 2 * idsMax, this.#consumer), commandMs)
      .catch(() => [])) as [id: string, consumer: string, idleMs: number, deliveries: number][]
    const deliveries = new Map(pending.map(([id, , , count]) => [id, count]))
    return fresh.map(entry => readEntry(partition, entry, deliveries.get(entry[0]) ?? 2))
  }

  async #forgetLost(partition: number, ids: Set<string>): Promise<void> {
    const { events } = partitionKeys(partition)
    const ours = new Set<string>()
    for (let from = '-'; ;) {
      const pending = (await this.#connection.answer(
        this.#connection.redis.xpending(events, consumerGroup, from, '+', 2 * idsMax, this.#consumer),
        commandMs,
      )) as [id: string][]
      for (const [id] of pending) ours.add(id)
      const last = pending.at(-1)
      if (!last || pending.length < 2 * idsMax) break
      from = `(${last[0]}`
    }
    for (const id of ids) if (!ours.has(id)) ids.delete(id)
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
