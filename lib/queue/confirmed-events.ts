/**
 * The events that Redis confirmed a moment ago. When it has died and come back, or another took its place, it is asked
 * which of them it has; the others go to the spill and from there to Redis, or right to Redis where the spill has no room.
 * What came from the spill is still there, and is sent from there again.
 */
import { Counter, type Registry } from '../process/prometheus.ts'
import type { Logger } from '../process/log.ts'
import type { EventSpill, SpilledGroup } from './event-spill.ts'
import { appendedBy, makeAppend } from './append-command.ts'
import { appendEntries } from './grouped-write.ts'
import { lostGroups, type AppendedGroup } from './lost-entries.ts'
import type { PartitionedRedis } from './partitioned-redis.ts'
import { RecentlyConfirmed } from './recently-confirmed.ts'
import { answered, redisReason } from './redis.ts'
import { sizeOf, type Piece, type Slabs } from './slabs.ts'

/** Entries that Redis confirmed. */
export interface Confirmation {
  readonly stream: string
  /** The command that appended them. */
  readonly command: Piece
  /** Redis's id of the last. */
  readonly lastId: string
  /** Which run of Redis it was. */
  readonly runId: string
  /** When they were sent, by performance.now. */
  readonly sentAt: number
}

/** Entries that came from the spill, of which only the last is kept in memory. */
interface DrainedGroup extends AppendedGroup {
  /** Sequence in the spill behind which they lie. */
  readonly after: number
}

/** Groups that are put on disk together. */
const requeuedAtOnce = 100
/** Bytes of events that are in Redis and in the spill; a kill of this process has them sent a second time. */
const drainedBytesMax = 16e6

export class ConfirmedEvents {
  readonly #spill: EventSpill
  readonly #log: Logger
  readonly #slabs: Slabs
  readonly #kept: RecentlyConfirmed<AppendedGroup>
  readonly #drained: RecentlyConfirmed<DrainedGroup>
  /** The run of Redis that was asked what it has of what others had confirmed. */
  #checkedRun = ''
  #checking: Promise<void> | undefined
  #isOpen = false
  readonly #requeuedTotal: Counter

  /**
   * @param slabs where commands are kept
   * @param bytesMax what is kept in memory at most
   */
  constructor(spill: EventSpill, slabs: Slabs, bytesMax: number, log: Logger, metrics: Registry, prefix: string) {
    this.#spill = spill
    this.#slabs = slabs
    this.#log = log
    const dropped = ({ command }: AppendedGroup) => slabs.release(command)
    this.#kept = new RecentlyConfirmed(bytesMax, dropped)
    this.#drained = new RecentlyConfirmed<DrainedGroup>(Infinity, dropped)
    this.#requeuedTotal = new Counter({
      name: `${prefix}_events_requeued_total`,
      help: 'Events that Redis had confirmed and may have lost when it died, put on disk to be queued again.',
      registers: [metrics],
    })
  }

  /** Bytes of events of which it is not known yet that they are safe. */
  get bytes(): number {
    return this.#kept.bytes + this.#drained.bytes
  }

  /** Whether the spill has given enough until some of it is known to be safe. */
  get isDrainedFull(): boolean {
    return this.#drained.bytes >= drainedBytesMax
  }

  /** Whether something that was lost has found no place yet, neither on disk nor in Redis. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether this run of Redis has been asked what it lost. What is appended before that makes it hard to tell. */
  isChecked(runId: string): boolean {
    return this.#checkedRun === runId
  }

  /** Keeps what was just confirmed. */
  add({ stream, command, lastId, runId, sentAt }: Confirmation): void {
    this.#kept.add({ stream, command, lastId, clockAheadMs: aheadMs(lastId) }, sizeOf(command), runId, sentAt)
  }

  /** The same for a group from the spill; none where the spill held nothing but damage. */
  addDrained(group: SpilledGroup, confirmation: Confirmation | undefined): void {
    if (confirmation) {
      const { stream, command, lastId, runId, sentAt } = confirmation
      const last = makeAppend(this.#slabs, stream, group.events.slice(-1))
      this.#drained.add(
        { stream, command: last, lastId, clockAheadMs: aheadMs(lastId), after: group.after },
        sizeOf(command),
        runId,
        sentAt,
      )
      this.#slabs.release(command)
    }
    this.#spill.sent(group)
  }

  /** States that something sent at `sentAt` was answered. */
  answered(runId: string, sentAt: number): void {
    this.#kept.answered(runId, sentAt)
    this.#drained.answered(runId, sentAt)
    // Not waited for: its turn comes when nothing is left to be put on disk, which may be after Redis takes events again.
    void this.#spill.release(this.#drained.oldest?.after ?? Infinity)
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
    const runId = connection.isUsable ? connection.runId : undefined
    this.#sendAgain([...this.#drained.ofOtherRuns(runId).values()].flat())
    await this.#spill.release(Infinity)
    await this.#spillAll([...this.#kept.ofOtherRuns(runId).values()].flat())
  }

  async #queueLost(connection: PartitionedRedis): Promise<void> {
    const { redis, runId, clockAheadMs } = connection
    const lost: AppendedGroup[] = []
    const lostDrained: DrainedGroup[] = []
    const kept = this.#kept.ofOtherRuns(runId)
    const drained = this.#drained.ofOtherRuns(runId)
    for (const run of new Set([...kept.keys(), ...drained.keys()])) {
      const ofRun: readonly (AppendedGroup | DrainedGroup)[] = [...(kept.get(run) ?? []), ...(drained.get(run) ?? [])]
      for (const [stream, groups] of Map.groupBy(ofRun, group => group.stream)) {
        const missing = new Set(await lostGroups(redis, stream, groups, clockAheadMs))
        const isThere = (group: AppendedGroup) => group.stream === stream && !missing.has(group)
        this.#kept.forget((kept.get(run) ?? []).filter(isThere))
        this.#drained.forget((drained.get(run) ?? []).filter(isThere))
        for (const group of missing)
          if ('after' in group) lostDrained.push(group)
          else lost.push(group)
      }
    }
    this.#sendAgain(lostDrained)
    const left = await this.#spillAll(lost)
    this.#checkedRun = runId
    this.#isOpen = left.length > 0
    await this.#appendAll(left, connection)
    this.#isOpen = false
  }

  /** Has the spill give again these groups, and what it gave after the first of them. */
  #sendAgain(groups: readonly DrainedGroup[]): void {
    const after = Math.min(...groups.map(group => group.after))
    const isAgain = (group: DrainedGroup) => group.after >= after
    this.#drained.forget([...this.#drained.ofOtherRuns(undefined).values()].flat().filter(isAgain))
    this.#tell(this.#spill.sendAgain(after))
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
          const puts = await Promise.all(appendedBy(group.command).map(entry => this.#put(entry)))
          count += puts.filter(Boolean).length
          return !puts.includes(false)
        }),
      )
      this.#kept.forget(some.filter((_, index) => isPut[index]))
      left.push(...some.filter((_, index) => !isPut[index]))
    }
    this.#tell(count)
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

  #tell(events: number): void {
    this.#requeuedTotal.inc(events)
    if (events > 0) this.#log.warn({ events }, 'Redis died and may have lost events: they are queued again')
  }

  /** @throws Error when Redis did not take all; those stay in memory */
  async #appendAll(groups: readonly AppendedGroup[], connection: PartitionedRedis): Promise<void> {
    const done: AppendedGroup[] = []
    try {
      for (const group of groups) {
        const { redis, runId, isUsable } = connection
        if (!isUsable || !this.isChecked(runId)) throw new Error('not connected')
        const sentAt = performance.now()
        const { stream, command } = group
        const lastId = await answered(appendEntries(redis, stream, command))
        done.push(group)
        this.add({ stream, command, lastId, runId, sentAt })
      }
    } finally {
      this.#kept.forget(done)
    }
  }
}

/** How much the clock that gave an id a moment ago is ahead of performance.now, in milliseconds, at least. */
function aheadMs(id: string): number {
  return Number.parseInt(id) - performance.now()
}
