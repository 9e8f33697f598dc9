/**
 * Brings records into Redis, in groups; what Redis does not take goes to disk and from there, in order, to Redis as soon
 * as it takes it. When the disk is full too, `offer` does not settle: whoever reads the input stops reading.
 *
 * Invariant, in records and in metrics: offered = stored + spilled + held in memory, and spilled = drained + in the spill.
 */
import { Counter, type Registry } from '../../process/prometheus.ts'
import { type SegmentLog, SegmentLogFull } from '../../durable/segment-log.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { observedGauge } from '../../process/observed-gauge.ts'
import { redisReason } from '../../queue/redis.ts'
import { decodeRecord, encodeRecord, type MessageRecord } from '../../record/record.ts'

export interface RecordEntry {
  readonly messageId: string
  readonly record: MessageRecord
}

export interface RecordSinkOptions {
  /** Stores records in Redis; rejects when not all were confirmed. */
  readonly store: (entries: readonly RecordEntry[]) => Promise<void>
  /** Undefined: nothing is spilled, the input is held instead. */
  readonly spill: SegmentLog | undefined
  /** Told when Redis stops taking records, and when it takes them again. */
  readonly onAway?: (isAway: boolean) => void
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
}

/** Records that go to Redis in one pipeline. */
const groupMax = 500
/** Pipelines under way at once. */
const groupsMax = 4
/** Records that wait in memory beyond those; more, and `offer` waits. */
const waitingMax = 500
/** How often what failed is tried again, in milliseconds. */
const retryMs = 500
/** Bytes read from the spill at a time. */
const drainBytes = 256 * 1024

export class RecordSink {
  readonly #options: RecordSinkOptions
  #waiting: RecordEntry[] = []
  readonly #sending = new Set<Promise<void>>()
  #isAway = false
  /** In the log; being away is forgotten in between, so that Redis is tried. */
  #isAwayTold = false
  #isSpillUnreadable = false
  #draining: Promise<void> | undefined
  readonly #timer: NodeJS.Timeout
  #isClosing = false
  /** Records by what became of them. */
  readonly totals = { stored: 0, spilled: 0, drained: 0 }
  /** Records in memory, those under way included. */
  #held = 0

  constructor(options: RecordSinkOptions) {
    this.#options = options
    this.#observe()
    this.#timer = setInterval(() => this.#startDraining(), retryMs).unref()
    this.#startDraining()
  }

  /** Groups on disk that wait for Redis. */
  get spilledGroups(): number {
    const { spill } = this.#options
    return spill ? spill.lastSeq - spill.firstSeq + 1 : 0
  }

  /** Settles when there is room for more. */
  async offer(entries: readonly RecordEntry[]): Promise<void> {
    for (const entry of entries) this.#waiting.push(entry)
    this.#held += entries.length
    this.#send()
    while (this.#waiting.length > waitingMax) await Promise.race(this.#sending)
  }

  /** Settles when everything offered is in Redis or on disk. */
  async flush(): Promise<void> {
    this.#send()
    while (this.#sending.size > 0) {
      await Promise.race(this.#sending)
      this.#send()
    }
  }

  /** Flushes and stops draining; what is on disk stays there for the next start. Idempotent. */
  async close(): Promise<void> {
    this.#isClosing = true
    clearInterval(this.#timer)
    await this.flush()
    await this.#draining
  }

  /**
   * Puts records on disk that were stored and may be lost, for the next start; after `close`. Nothing is done without a
   * spill. What finds no room is told in the log and left out.
   */
  async keep(entries: readonly RecordEntry[]): Promise<void> {
    const { spill, log } = this.#options
    if (!spill) return
    try {
      for (let at = 0; at < entries.length; at += groupMax)
        await spill.append(encodeGroup(entries.slice(at, at + groupMax)))
    } catch (error) {
      const reason = error instanceof SegmentLogFull ? error.message : redisReason(error)
      log.error({ reason, records: entries.length }, 'what Redis may have lost could not be kept on disk')
    }
  }

  #observe(): void {
    const { metrics, spill } = this.#options
    const told = { stored: 0, spilled: 0, drained: 0 }
    for (const [name, help] of [
      ['stored', 'Records that went to Redis at once.'],
      ['spilled', 'Records that went to disk, for Redis did not take them.'],
      ['drained', 'Records that went from there to Redis.'],
    ] as const) {
      const counter: Counter = new Counter({
        name: `acct_etl_records_${name}_total`,
        help,
        registers: [metrics],
        collect: () => {
          counter.inc(this.totals[name] - told[name])
          told[name] = this.totals[name]
        },
      })
    }
    observedGauge(
      metrics,
      'acct_etl_records_held',
      'Records in memory, on their way to Redis or disk.',
      () => this.#held,
    )
    observedGauge(
      metrics,
      'acct_etl_record_spill_groups',
      'Groups of records (of at most 500) on disk that wait for Redis.',
      () => this.spilledGroups,
    )
    observedGauge(metrics, 'acct_etl_record_spill_bytes', 'What they take on disk.', () => spill?.bytes ?? 0)
  }

  #send(): void {
    while (this.#waiting.length > 0 && this.#sending.size < groupsMax) {
      const group = this.#waiting.length <= groupMax ? this.#waiting : this.#waiting.slice(0, groupMax)
      this.#waiting = this.#waiting.length <= groupMax ? [] : this.#waiting.slice(groupMax)
      const sending = this.#place(group).finally(() => {
        this.#held -= group.length
        this.#sending.delete(sending)
        this.#send()
      })
      this.#sending.add(sending)
    }
  }

  async #place(group: readonly RecordEntry[]): Promise<void> {
    const { spill, health } = this.#options
    for (;;) {
      // While anything waits on disk the order is kept by going there too.
      if ((!this.#isAway && this.spilledGroups === 0) || !spill) {
        if (await this.#store(group)) {
          this.totals.stored += group.length
          return
        }
      }
      if (spill) {
        try {
          await spill.append(encodeGroup(group))
          this.totals.spilled += group.length
          health.set('spill', undefined)
          return
        } catch (error) {
          const why = error instanceof SegmentLogFull ? 'is full' : 'can not be written'
          health.set('spill', `Redis takes no records and the spill ${why}: the input is held until either does`)
        }
      }
      await new Promise(resolve => setTimeout(resolve, retryMs))
    }
  }

  async #store(group: readonly RecordEntry[]): Promise<boolean> {
    const { store, spill, log, health } = this.#options
    try {
      await store(group)
      if (this.#isAwayTold) log.info('records go to Redis again')
      this.#isAwayTold = false
      this.#setAway(false)
      for (const cause of ['spill', 'records']) health.set(cause, undefined)
      return true
    } catch (error) {
      const reason = redisReason(error)
      if (!this.#isAwayTold) log.warn({ reason }, 'Redis does not take records, keeping them')
      this.#isAwayTold = true
      this.#setAway(true)
      const meanwhile = spill ? 'they are kept on disk' : 'the input is held'
      health.set('records', `Redis takes no records (${reason}): ${meanwhile} until it does`)
      return false
    }
  }

  #setAway(isAway: boolean): void {
    if (isAway !== this.#isAway) this.#options.onAway?.(isAway)
    this.#isAway = isAway
  }

  #startDraining(): void {
    if (this.#draining || this.#isClosing || (!this.#isAway && this.spilledGroups === 0)) return
    this.#draining = this.#drain()
      .then(() => this.#setSpillUnreadable(undefined))
      .catch((error: unknown) => this.#setSpillUnreadable((error as Error).message))
      .finally(() => (this.#draining = undefined))
  }

  #setSpillUnreadable(reason: string | undefined): void {
    const { log, health } = this.#options
    health.set('spill-read', reason && `${reason}: records on disk wait until it can; nothing is lost`)
    if (this.#isSpillUnreadable === (reason !== undefined)) return
    this.#isSpillUnreadable = reason !== undefined
    if (reason) log.error({ reason }, 'the spill can not be read, trying again')
    else log.info('the spill can be read again')
  }

  async #drain(): Promise<void> {
    const { spill } = this.#options
    if (!spill || this.spilledGroups === 0) {
      // Nothing on disk: the next group tries Redis itself.
      this.#setAway(false)
      return
    }
    while (!this.#isClosing) {
      // While Redis fails one group is enough to find out whether it still does.
      const groups = await spill.read(0, this.#isAway ? 1 : drainBytes)
      const last = groups.at(-1)
      if (!last) return
      const entries = groups.flatMap(({ payload }) => decodeGroup(payload))
      if (!(await this.#store(entries))) return
      // What is not let go is read, stored and counted again.
      await spill.release(last.seq)
      this.totals.drained += entries.length
    }
  }
}

function encodeGroup(group: readonly RecordEntry[]): Buffer {
  return Buffer.from(JSON.stringify(group.map(({ messageId, record }) => [messageId, encodeRecord(record)])))
}

function decodeGroup(payload: Uint8Array): RecordEntry[] {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(payload).toString())
  } catch {
    return []
  }
  return (Array.isArray(value) ? (value as unknown[]) : []).flatMap(one => {
    const [messageId, text] = Array.isArray(one) ? (one as unknown[]) : []
    const record = typeof text === 'string' ? decodeRecord(text) : undefined
    return typeof messageId === 'string' && record ? [{ messageId, record }] : []
  })
}
