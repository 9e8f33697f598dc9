/** Events and batches as the console keeps them. */
import type { SQLInputValue } from 'node:sqlite'
import type { ReceivedEvent } from './received-event.ts'
import type { Store } from './store.ts'

/** A stored event. */
export interface EventRow {
  readonly seq: number
  readonly source: string
  readonly type: string
  readonly messageId: string | null
  readonly recipient: string | null
  /** Decimal. */
  readonly eventId: string | null
  /** When it happened, Unix ms. */
  readonly at: number | null
  /** When it was stored, Unix ms; never decreases with `seq`. */
  readonly received: number
  /** Batch of Events Ingest that it came in. */
  readonly batch: string | null
  readonly body: string
}

export interface EventFilter {
  readonly type?: string
  readonly messageId?: string
  readonly recipient?: string
  /** Received at this Unix time in milliseconds or later. */
  readonly since?: number
  /** Stored after the event with this `seq`. */
  readonly after?: number
}

/** Events with `seq` over `after`, up to and including `through`. */
export interface EventWindow {
  readonly after: number
  readonly through: number
}

/** What became of a batch (out of band, as the service has it). */
export type BatchError = 'validation' | 'decompress' | 'duplicate_batch' | 'empty_batch'

export interface BatchRow {
  readonly seq: number
  readonly id: string
  readonly received: number
  readonly errorType: BatchError | null
  readonly succeeded: number
  readonly failed: number
  readonly duplicates: number
}

export interface FailedLine {
  readonly line: number
  readonly reason: string
  readonly body: string
}

/** A batch as it was read; its lines are judged while they are stored. */
export interface Batch {
  readonly id: string
  /** SHA-256 of the inflated body; absent when it could not be inflated. */
  readonly digest?: Uint8Array
  /** Why nothing of it can be stored. */
  readonly errorType?: BatchError
  /** Each line with its number from 1, and what it was found to be. */
  readonly lines: Iterable<{ readonly line: number; readonly text: string; readonly verdict: LineVerdict }>
}

type LineVerdict = { readonly event: ReceivedEvent } | { readonly fault: string }

const insertEvent = `INSERT INTO event (source, type, message_id, recipient, event_id, at, received, batch, body)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
const eventColumns = `seq, source, type, message_id AS messageId, recipient, CAST(event_id AS TEXT) AS eventId,
  at, received, batch, body`
const batchColumns = 'seq, id, received, error_type AS errorType, succeeded, failed, duplicates'

export class EventStore {
  readonly #store: Store
  readonly #now: () => number
  /** Highest `seq` that is committed. */
  #committed: number
  /** Latest time that was given out, so that `received` never decreases, whatever the clock does. */
  #latest: number

  constructor(store: Store, now: () => number = Date.now) {
    this.#store = store
    this.#now = now
    this.#committed = this.#lastSeq()
    this.#latest = Number(store.sql('SELECT received AS n FROM event WHERE seq = ?').get(this.#committed)?.['n'] ?? 0)
    store.onCommit(() => {
      this.#committed = this.#lastSeq()
    })
  }

  /** Stores all of these events, or none. */
  add(events: readonly ReceivedEvent[]): Promise<void> {
    return this.#store.write(() => this.#add(events))
  }

  /** Stores what is valid of a batch, its failures and its outcome. */
  addBatch(batch: Batch): Promise<BatchRow> {
    return this.#store.write(() => this.#addBatch(batch))
  }

  *#add(events: readonly ReceivedEvent[]): Generator<undefined, void> {
    const received = this.#time()
    for (const event of events) {
      this.#insert(event, received, null)
      yield
    }
  }

  *#addBatch(batch: Batch): Generator<undefined, BatchRow> {
    const { id } = batch
    const received = this.#time()
    let [succeeded, failed, duplicates] = [0, 0, 0]
    let errorType: BatchError | null = batch.errorType ?? null
    const known = batch.digest && this.#store.sql('SELECT 1 FROM batch WHERE digest = ? LIMIT 1').get(batch.digest)
    if (known) errorType = 'duplicate_batch'
    const insertFailure = this.#store.sql('INSERT INTO failure (batch, line, reason, body) VALUES (?, ?, ?, ?)')
    for (const { line, text, verdict } of batch.lines) {
      if (known) duplicates++
      else if ('fault' in verdict) {
        failed++
        insertFailure.run(id, line, verdict.fault, text)
      } else if (this.#insert(verdict.event, received, id)) succeeded++
      else duplicates++
      yield
    }
    if (errorType === null && failed > 0) errorType = 'validation'
    if (errorType === null && succeeded + duplicates === 0) errorType = 'empty_batch'
    const { lastInsertRowid } = this.#store
      .sql(
        `INSERT INTO batch (id, received, error_type, succeeded, failed, duplicates, digest)
        VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(id, received, errorType, succeeded, failed, duplicates, known ? null : (batch.digest ?? null))
    return { seq: Number(lastInsertRowid), id, received, errorType, succeeded, failed, duplicates }
  }

  /**
   * Where a reader begins and ends: with what is stored now.
   * @param limit at most so many: the newest, or, with `after`, the first after it
   */
  window(filter: EventFilter, limit = Number.POSITIVE_INFINITY): EventWindow {
    const through = this.#committed
    const after = Math.max(filter.after ?? 0, this.#seqBefore(filter.since))
    if (filter.after !== undefined || !Number.isFinite(limit)) return { after, through }
    const { where, values } = whereOf(filter)
    const first = this.#store
      .sql(`SELECT seq FROM event WHERE seq > ? AND seq <= ? ${where} ORDER BY seq DESC LIMIT 1 OFFSET ?`)
      .get(after, through, ...values, Math.max(limit - 1, 0))?.['seq']
    return { after: first === undefined ? after : Number(first) - 1, through }
  }

  /** The first events of a window that match, oldest first. */
  page(filter: EventFilter, window: EventWindow, rowsMax: number): readonly EventRow[] {
    const { where, values } = whereOf(filter)
    return this.#store
      .sql(`SELECT ${eventColumns} FROM event WHERE seq > ? AND seq <= ? ${where} ORDER BY seq LIMIT ?`)
      .all(window.after, window.through, ...values, rowsMax) as unknown as EventRow[]
  }

  /** Outcomes of batches, oldest first: those of these ids, or all, after the one with `seq` `after`. */
  batches(ids: readonly string[] | undefined, after: number, limit: number): readonly BatchRow[] {
    if (ids === undefined) {
      return this.#store
        .sql(`SELECT ${batchColumns} FROM batch WHERE seq > ? ORDER BY seq LIMIT ?`)
        .all(after, limit) as unknown as BatchRow[]
    }
    const one = this.#store.sql(`SELECT ${batchColumns} FROM batch WHERE id = ? AND seq > ?`)
    const found = ids.map(id => one.get(id, after) as unknown as BatchRow | undefined).filter(row => row !== undefined)
    return found.toSorted((a, b) => a.seq - b.seq).slice(0, limit)
  }

  /** Lines of a batch that were refused, from after that line on. */
  failures(batch: string, afterLine: number, rowsMax: number): readonly FailedLine[] {
    return this.#store
      .sql('SELECT line, reason, body FROM failure WHERE batch = ? AND line > ? ORDER BY line LIMIT ?')
      .all(batch, afterLine, rowsMax) as unknown as FailedLine[]
  }

  /** How many events are kept; numbers have no gaps but where a write failed, so that none has to be read. */
  count(): number {
    return Number(this.#store.sql('SELECT max(seq) - min(seq) + 1 AS n FROM event').get()?.['n'] ?? 0)
  }

  #insert(event: ReceivedEvent, received: number, batch: string | null): boolean {
    const { changes } = this.#store
      .sql(insertEvent)
      .run(
        event.source,
        event.type,
        event.messageId ?? null,
        event.recipient ?? null,
        event.eventId ?? null,
        event.at ?? null,
        received,
        batch,
        event.body,
      )
    return Number(changes) > 0
  }

  /** The highest `seq` received before `since`. `received` follows `seq`, so that halving finds it without an index. */
  #seqBefore(since: number | undefined): number {
    if (since === undefined) return 0
    const read = this.#store.sql('SELECT seq, received FROM event WHERE seq >= ? ORDER BY seq LIMIT 1')
    let [low, high] = [1, this.#committed + 1]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const row = read.get(middle) as { seq: number; received: number } | undefined
      if (row && row.seq <= this.#committed && row.received < since) low = row.seq + 1
      else high = middle
    }
    return low - 1
  }

  #lastSeq(): number {
    return Number(this.#store.sql('SELECT max(seq) AS n FROM event').get()?.['n'] ?? 0)
  }

  #time(): number {
    this.#latest = Math.max(this.#latest, this.#now())
    return this.#latest
  }
}

function whereOf(filter: EventFilter): { where: string; values: SQLInputValue[] } {
  const wanted: [string, string | undefined][] = [
    ['type', filter.type],
    ['message_id', filter.messageId],
    ['recipient', filter.recipient],
  ]
  const given = wanted.filter((pair): pair is [string, string] => pair[1] !== undefined)
  return { where: given.map(([name]) => `AND ${name} = ?`).join(' '), values: given.map(([, value]) => value) }
}
