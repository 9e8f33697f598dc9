/**
 * The events that Redis confirmed a moment ago. When it has died and come back, or another took its place, it is asked
 * which of them it has; the others go to the spill and from there to Redis, or right to Redis where the spill has no room.
 */
import { Counter, type Registry } from 'prom-client'
import type { Logger } from '../process/log.ts'
import type { EventSpill } from './event-spill.ts'
import { appendEntries } from './grouped-write.ts'
import { entriesOf, keptText, lostGroups, type AppendedGroup } from './lost-entries.ts'
import type { PartitionedRedis } from './partitioned-redis.ts'
import { RecentlyConfirmed } from './recently-confirmed.ts'
import { answered, redisReason } from './redis.ts'

/** Groups that are put on disk together. */
const requeuedAtOnce = 100

export class ConfirmedEvents {
  readonly #spill: EventSpill
  readonly #bytesMax: number
  readonly #log: Logger
  readonly #kept: RecentlyConfirmed<AppendedGroup>
  /** The run of Redis that was asked what it has of what others had confirmed. */
  #checkedRun = ''
  #checking: Promise<void> | undefined
  #isOpen = false
  readonly #requeuedTotal: Counter

  /** @param bytesMax what is kept in memory at most */
  constructor(spill: EventSpill, bytesMax: number, log: Logger, metrics: Registry, prefix: string) {
    this.#spill = spill
    this.#bytesMax = bytesMax
    this.#log = log
    this.#kept = new RecentlyConfirmed(bytesMax)
    this.#requeuedTotal = new Counter({
      name: `${prefix}_events_requeued_total`,
      help: 'Events that Redis had confirmed and may have lost when it died, put on disk to be queued again.',
      registers: [metrics],
    })
  }

  /** Bytes kept in memory. */
  get bytes(): number {
    return this.#kept.bytes
  }

  /** Whether what can wait should, lest what was confirmed a moment ago is forgotten before its time. */
  get isHalfFull(): boolean {
    return this.bytes > this.#bytesMax / 2
  }

  /** Whether something that was lost has found no place yet, neither on disk nor in Redis. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether this run of Redis has been asked what it lost. What is appended before that makes it hard to tell. */
  isChecked(runId: string): boolean {
    return this.#checkedRun === runId
  }

  /**
   * Keeps what was just confirmed.
   * @param lastId Redis's id of the last entry
   * @param sentAt when it was sent, by performance.now
   */
  add(stream: string, entries: readonly string[], lastId: string, runId: string, sentAt: number): void {
    const text = keptText(entries)
    this.#kept.add({ stream, text, lastId }, text.length, runId, sentAt)
  }

  /** States that something sent at `sentAt` was answered. */
  answered(runId: string, sentAt: number): void {
    this.#kept.answered(runId, sentAt)
  }

  /**
   * Asks a Redis that has come, or come back, what it lost, and queues that again; one that is asked already is not asked
   * twice at once. Never rejects; what could not be done is left for the next call.
   */
  check(connection: PartitionedRedis): Promise<void> {
    this.#checking ??= this.#queueLost(connection)
      .catch((error: unknown) => {
        this.#log.warn({ reason: redisReason(error) }, 'what Redis lost can not be queued again, trying again')
      })
      .finally(() => (this.#checking = undefined))
    return this.#checking
  }

  /** Puts on disk what may be lost: whether Redis has it, only one that is there could tell. */
  async close(connection: PartitionedRedis): Promise<void> {
    await this.#checking
    const { isUsable, runId } = connection
    await this.#spillAll(this.#kept.ofOtherRuns(isUsable ? runId : undefined).flat())
  }

  async #queueLost(connection: PartitionedRedis): Promise<void> {
    const { redis, runId } = connection
    const lost: AppendedGroup[] = []
    for (const confirmed of this.#kept.ofOtherRuns(runId)) {
      for (const [stream, groups] of Map.groupBy(confirmed, group => group.stream)) {
        const missing = new Set(await lostGroups(redis, stream, groups))
        this.#kept.forget(groups.filter(group => !missing.has(group)))
        lost.push(...missing)
      }
    }
    const left = await this.#spillAll(lost)
    this.#checkedRun = runId
    this.#isOpen = left.length > 0
    await this.#appendAll(left, connection)
    this.#isOpen = false
  }

  /** @returns those that found no place on disk, or not for all of their entries; they stay in memory */
  async #spillAll(groups: readonly AppendedGroup[]): Promise<readonly AppendedGroup[]> {
    const left: AppendedGroup[] = []
    let count = 0
    for (let at = 0; at < groups.length; at += requeuedAtOnce) {
      const some = groups.slice(at, at + requeuedAtOnce)
      // One that has no room for some has none for the rest.
      if (left.length > 0) {
        left.push(...some)
        continue
      }
      const isPut = await Promise.all(
        some.map(async group => {
          const puts = await Promise.all(entriesOf(group).map(entry => this.#put(entry)))
          count += puts.filter(Boolean).length
          return !puts.includes(false)
        }),
      )
      this.#kept.forget(some.filter((_, index) => isPut[index]))
      left.push(...some.filter((_, index) => !isPut[index]))
    }
    this.#requeuedTotal.inc(count)
    if (count > 0) this.#log.warn({ events: count }, 'Redis died and may have lost events: they are queued again')
    return left
  }

  /**
   * @returns whether it is safe on disk. A disk that hangs is as good as one that is full, for all that is pushed waits
   *   until this is done; what it keeps in the end all the same comes twice.
   */
  #put(entry: string): Promise<boolean> {
    return new Promise(resolve => {
      void this.#spill.put(entry, () => resolve(false)).then(resolve)
    })
  }

  /** @throws Error when Redis did not take all; those stay in memory */
  async #appendAll(groups: readonly AppendedGroup[], connection: PartitionedRedis): Promise<void> {
    const done: AppendedGroup[] = []
    try {
      for (const group of groups) {
        const { redis, runId, isUsable } = connection
        if (!isUsable || !this.isChecked(runId)) throw new Error('not connected')
        const sentAt = performance.now()
        const lastId = await answered(appendEntries(redis, group.stream, entriesOf(group)))
        done.push(group)
        this.#kept.add({ ...group, lastId }, group.text.length, runId, sentAt)
      }
    } finally {
      this.#kept.forget(done)
    }
  }
}
