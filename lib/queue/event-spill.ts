/**
 * Where events wait on disk for Redis, and stay until they are safe there.
 *
 * What holds: put + sent again = drained + waiting (+ unreadable, after damage).
 */
import { Counter, type Registry } from '../process/prometheus.ts'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { SegmentLog, SegmentLogFull } from '../durable/segment-log.ts'
import { observedGauge } from '../process/observed-gauge.ts'
import { redisReason } from './redis.ts'

export interface EventSpillOptions {
  /** Folder of its own. */
  readonly dir: string
  /** Most that it may take on disk. */
  readonly bytesMax: number
  /** What finds no place on disk either is not lost, for whoever has it tries again. */
  readonly isRetried?: boolean
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Beginning of the metrics' names: the process. */
  readonly prefix: string
}

/** Events that lie behind each other on disk. */
export interface SpilledGroup {
  /** As they were pushed. */
  readonly events: readonly string[]
  /** Sequence of the last record before them that had been sent when they were read. */
  readonly after: number
  /** Sequence of the last of them; `after` when there is none. */
  readonly last: number
  /** How many records they are, those that are no events included. */
  readonly records: number
}

/** Longest that whoever pushes waits for the disk, in milliseconds. */
const spillMsMax = 1_000

export class EventSpill {
  readonly #options: EventSpillOptions
  #segments!: SegmentLog
  /** The sequence through which records were sent to Redis; those behind the released ones may have to be sent again. */
  #sentSeq = 0
  /** Appends under way. */
  readonly #appending = new Set<Promise<unknown>>()
  #isBroken = false
  /** An append took longer than anybody waits, and none has succeeded since. */
  #isHanging = false
  #isUnreadable = false
  readonly #drainedTotal: Counter
  readonly #unreadableTotal: Counter

  private constructor(options: EventSpillOptions) {
    this.#options = options
    const { metrics, prefix } = options
    const registers = [metrics]
    this.#drainedTotal = new Counter({
      name: `${prefix}_spill_drained_total`,
      help: 'Events that went from the spill on disk to Redis.',
      registers,
    })
    this.#unreadableTotal = new Counter({
      name: `${prefix}_spill_unreadable_total`,
      help: 'Records lost from the spill on disk because its files were damaged.',
      registers,
    })
    observedGauge(metrics, `${prefix}_spill_events`, 'Events on disk that wait for Redis.', () => this.waiting)
    observedGauge(metrics, `${prefix}_spill_bytes`, 'What the spill takes on disk.', () => this.#segments?.bytes ?? 0)
  }

  /** @throws {StartError} when the folder is in use or can't be written */
  static async open(options: EventSpillOptions): Promise<EventSpill> {
    const spill = new EventSpill(options)
    spill.#segments = await SegmentLog.open({
      dir: options.dir,
      bytesMax: options.bytesMax,
      onDamage: damage => {
        spill.#unreadableTotal.inc(damage.recordsMissing ?? 1)
        options.log.error({ ...damage }, 'part of the spill on disk is damaged and was left out')
      },
    })
    return spill
  }

  /** Events on disk that wait for Redis. */
  get waiting(): number {
    return this.#segments ? this.#segments.lastSeq - Math.max(this.#segments.firstSeq - 1, this.#sentSeq) : 0
  }

  /**
   * Puts an event on disk. Never rejects.
   * @param onImpatience told when the disk hangs, at once where others have found out: whoever pushed must not wait for it,
   *   though the event may still be kept
   * @returns whether it is safe there
   */
  async put(json: string, onImpatience: () => void): Promise<boolean> {
    const giveUp = () => {
      this.#isHanging = true
      onImpatience()
    }
    const impatient = setTimeout(giveUp, this.#isHanging ? 0 : spillMsMax)
    const appending = this.#segments.append(Buffer.from(json))
    this.#appending.add(appending)
    try {
      await appending
      this.#isHanging = false
      this.#setBroken(undefined)
      return true
    } catch (error) {
      this.#setBroken(error instanceof SegmentLogFull ? error.message : redisReason(error))
      return false
    } finally {
      this.#appending.delete(appending)
      clearTimeout(impatient)
    }
  }

  /**
   * The oldest events that were not sent; undefined when they can't be read at the moment.
   * @param bytes about so many, one event at least
   */
  async oldest(bytes: number): Promise<SpilledGroup | undefined> {
    const after = this.#sentSeq
    try {
      const records = await this.#segments.readAs(after, bytes, ({ seq, payload }) => ({
        seq,
        event: readSpilled(payload),
      }))
      this.#setUnreadable(undefined)
      if (records.length === 0) this.#setBroken(undefined)
      const events = records.flatMap(({ event }) => event ?? [])
      return { events, after, last: records.at(-1)?.seq ?? after, records: records.length }
    } catch (error) {
      this.#setUnreadable((error as Error).message)
      return undefined
    }
  }

  /** Whether a group is still the oldest: others may have to be sent again before it. */
  isOldest({ after }: SpilledGroup): boolean {
    return after === this.#sentSeq
  }

  /** States that the oldest group is in Redis. It stays on disk until it is released. */
  sent({ last, records, events }: SpilledGroup): void {
    this.#sentSeq = last
    this.#drainedTotal.inc(events.length)
    this.#unreadableTotal.inc(records - events.length)
  }

  /**
   * States that what was sent behind this sequence is to be sent again.
   * @returns how many records that are
   */
  sendAgain(afterSeq: number): number {
    const before = this.waiting
    this.#sentSeq = Math.min(this.#sentSeq, afterSeq)
    return this.waiting - before
  }

  /** States that what was sent through this sequence is safe in Redis. Never rejects. */
  async release(throughSeq: number): Promise<void> {
    await this.#segments.release(Math.min(throughSeq, this.#sentSeq))
  }

  /** Waits for the appends under way, then gives up the folder. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#appending)
    await this.#segments.close()
  }

  #setBroken(reason: string | undefined): void {
    if (this.#isBroken === (reason !== undefined)) return
    this.#isBroken = reason !== undefined
    const { log, health, isRetried = false } = this.#options
    const fate = isRetried ? 'events are held back' : 'events are lost'
    if (reason) log.error({ reason }, `${fate}: Redis does not take them and they could not be kept on disk`)
    health.set('spill', reason && `${fate}, for they can't be kept on disk: ${reason}`)
  }

  #setUnreadable(reason: string | undefined): void {
    const { log, health } = this.#options
    health.set('spill-read', reason && `${reason}: events on disk wait until it can; nothing is lost`)
    if (this.#isUnreadable === (reason !== undefined)) return
    this.#isUnreadable = reason !== undefined
    if (reason) log.error({ reason }, 'the spill can not be read, trying again')
    else log.info('the spill can be read again')
  }
}

/** The event in a record; none when something else wrote into the folder. */
function readSpilled(payload: Buffer): string | undefined {
  try {
    const json = payload.toString()
    const { messageId } = JSON.parse(json) as { messageId?: unknown }
    return typeof messageId === 'string' ? json : undefined
  } catch {
    return undefined
  }
}
