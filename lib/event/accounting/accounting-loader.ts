/** From bytes of accounting CSV to records and events. */
import type { Health } from '../../process/health.ts'
import type { DeliveryEvent } from '../event.ts'
import { AccountingColumns, headerFlaw, isHeaderRow } from '../powermta/accounting-columns.ts'
import type { AccountingMeter } from './accounting-meter.ts'
import { AccountingRowReader } from './accounting-row.ts'
import { csvRows } from './csv-rows.ts'
import { type Framed, RecordFramer, type RejectedLine } from './record-framer.ts'
import type { RecordEntry } from './record-sink.ts'

export interface AccountingLoaderOptions {
  readonly headers: {
    recall: () => Promise<readonly string[] | undefined>
    save: (names: readonly string[]) => Promise<void>
  }
  /** Takes records over; settles when it can take more. */
  readonly offer: (entries: readonly RecordEntry[]) => Promise<void>
  /** Takes events over; settles when it can take more. Undefined: no events are made. */
  readonly push: ((events: readonly DeliveryEvent[]) => Promise<void>) | undefined
  readonly reject: (lines: readonly RejectedLine[]) => void
  readonly meter: AccountingMeter
  readonly health: Health
  readonly now: () => number
}

/** How often a header that is not known is asked for: Redis may have been away. */
const recallEveryMs = 10_000

export class AccountingLoader {
  readonly #options: AccountingLoaderOptions
  readonly #framer = new RecordFramer()
  #reader: AccountingRowReader | undefined
  #recalledAt = -Infinity

  constructor(options: AccountingLoaderOptions) {
    this.#options = options
  }

  /** Takes a chunk of the input. Settles when the next may come; one call at a time. */
  accept(chunk: Buffer): Promise<void> {
    return this.#take(this.#framer.push(chunk))
  }

  /** Nothing has come for a while: a quote that was left open is given up. */
  idle(): Promise<void> {
    return this.#take(this.#framer.resync())
  }

  /** The input has ended. */
  end(): Promise<void> {
    return this.#take(this.#framer.end())
  }

  async #take({ records, quoted, rejected }: Framed): Promise<void> {
    const { meter, reject, offer, push } = this.#options
    const bad: RejectedLine[] = [...rejected]
    const entries: RecordEntry[] = []
    const events: DeliveryEvent[] = []
    for (const [index, row] of csvRows(records, quoted).entries()) {
      const text = records[index] ?? ''
      if (row === undefined) bad.push({ text, reason: 'no CSV record' })
      else if (isHeaderRow(row)) await this.#follow(row)
      else {
        const flaw = headerFlaw(row)
        const reader = flaw === undefined ? (this.#reader ?? (await this.#recall())) : undefined
        if (flaw !== undefined) bad.push({ text, reason: flaw })
        else if (reader) this.#read(reader, row, text, entries, events, bad)
        else bad.push({ text, reason: 'no header line has come yet' })
      }
    }
    if (bad.length > 0) {
      meter.count('rejected', bad.length)
      reject(bad)
    }
    if (entries.length > 0) await offer(entries)
    if (events.length > 0) await push?.(events)
  }

  #read(
    reader: AccountingRowReader,
    row: readonly string[],
    text: string,
    entries: RecordEntry[],
    events: DeliveryEvent[],
    bad: RejectedLine[],
  ): void {
    const { meter, push, now } = this.#options
    const reading = reader.record(row)
    if (push) {
      const outcome = reader.event(row, text, now())
      if (outcome.kind === 'bad') {
        bad.push({ text, reason: outcome.reason })
        return
      }
      if (outcome.kind === 'event') {
        events.push(outcome.event)
        meter.count('events')
      }
    }
    if (reading.kind === 'record') {
      entries.push({ messageId: reading.messageId, record: reading.record })
      meter.count('record')
    } else if (reading.kind === 'bad') bad.push({ text, reason: reading.reason })
    else meter.count(reading.reason === 'type' ? 'other' : 'untracked')
  }

  /** Settles when the header is safe: a process killed after this line leaves it to the next, which gets none. */
  async #follow(names: readonly string[]): Promise<void> {
    this.#options.meter.count('header')
    this.#useColumns(names)
    await this.#options.headers.save(names)
  }

  async #recall(): Promise<AccountingRowReader | undefined> {
    const { now } = this.#options
    if (Math.abs(now() - this.#recalledAt) < recallEveryMs) return undefined
    this.#recalledAt = now()
    const names = await this.#options.headers.recall()
    if (names) this.#useColumns(names)
    return this.#reader
  }

  #useColumns(names: readonly string[]): void {
    const columns = new AccountingColumns(names)
    this.#reader = new AccountingRowReader(columns)
    const missing = ['header_x-sp-message-id', 'rcpt'].filter(name => !columns.has(name))
    this.#options.health.set(
      'columns',
      missing.length === 0
        ? undefined
        : `the accounting has no column ${missing.join(', ')}: add it to record-fields in PowerMTA's configuration`,
    )
  }
}
