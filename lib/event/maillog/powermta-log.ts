/**
 * PowerMTA's accounting files: CSV, a header line that begins with `type` (at the start of each file, or anywhere), one line
 * a record. Columns are found by the names in the header; without one nothing is guessed.
 *
 * | type | event |
 * |---|---|
 * | d | delivered |
 * | b | bounced; soft_bounced for the categories message-expired and quota-issues, and those of the operator's own |
 * | t, tq | deferred |
 * | rb | as b (reported by mail, later) |
 *
 * The UUID stands in the column `header_X-Sendpost-Message-UUID` (`record-fields d *,header_X-Sendpost-Message-UUID`), else in
 * `jobId` or `envId`.
 */
import type { DeliveryType } from '../event.ts'
import { AccountingColumns, columnsMax, isHeaderRow } from '../powermta/accounting-columns.ts'
import { accountingTime } from '../powermta/accounting-time.ts'
import { bounceCategory } from '../powermta/bounce-category.ts'
import { csvFields } from '../powermta/csv-fields.ts'
import { deliveryType, isRecordType } from '../powermta/record-type.ts'
import { remoteReply } from '../powermta/remote-reply.ts'
import type { DeliveryLog, DeliveryLogHooks } from './delivery-log.ts'
import { cutDescription } from './kept-description.ts'
import type { LineVerdict } from './line-verdict.ts'
import { messageUuid } from './message-uuid.ts'
import type { OutcomeType } from './outcome.ts'

/** The API knows no complaints. */
const outcomeTypes: Readonly<Record<DeliveryType, OutcomeType | undefined>> = {
  delivery: 'delivered',
  bounce: 'bounced',
  delay: 'deferred',
  out_of_band: 'bounced',
  spam_complaint: undefined,
}
/** A category that the operator made up: nobody knows, and so not hard. */
const softCategories: ReadonlySet<ReturnType<typeof bounceCategory>> = new Set([
  'message-expired',
  'quota-issues',
  'own',
])
const uuidColumns = ['header_X-Sendpost-Message-UUID', 'jobId', 'envId']

/** Sources whose columns are remembered; past it those of the one that came first are forgotten. */
const sourcesMax = 1000

export class PowerMtaLog implements DeliveryLog {
  readonly size = 0
  readonly #hooks: DeliveryLogHooks
  /** Of each source, by its last header. */
  readonly #columns = new Map<string, AccountingColumns>()
  /** Of which an earlier version wrote down the header without what stood in it twice: there may have been more columns. */
  readonly #incomplete = new Set<string>()
  #withoutUuid = 0

  constructor(hooks: DeliveryLogHooks) {
    this.#hooks = hooks
  }

  read(line: string, whole: boolean, _latestMs: number, source: string): LineVerdict {
    const row = csvFields(Buffer.from(line, 'latin1').toString('utf8').replace(/\r$/, ''))
    if (!row) return 'unparsed'
    if (isHeaderRow(row)) {
      if (!whole) return 'malformed'
      this.#incomplete.delete(source)
      this.#setColumns(source, row)
      return 'correlation'
    }
    if (this.#incomplete.has(source)) this.#complete(source, row.length)
    const columns = this.#columns.get(source)
    const type = columns?.type(row) ?? row[0]?.toLowerCase() ?? ''
    if (!isRecordType(type)) return 'unparsed'
    const delivery = deliveryType(type)
    const outcome = delivery && outcomeTypes[delivery]
    if (outcome === undefined) return 'other'
    if (!columns) return 'orphan'
    if (!whole || columns.flaw(row) !== undefined) return 'malformed'
    return this.#record(outcome, row, columns)
  }

  #setColumns(source: string, names: readonly string[]): void {
    const [first] = this.#columns.keys()
    if (first !== undefined && this.#columns.size >= sourcesMax && !this.#columns.has(source))
      this.#columns.delete(first)
    this.#columns.set(source, new AccountingColumns(names))
  }

  /** A record has as many fields as its header. */
  #complete(source: string, columns: number): void {
    const { names } = this.#columns.get(source) ?? { names: [] }
    if (columns > names.length && columns <= columnsMax)
      this.#setColumns(source, [...names, ...Array.from({ length: columns - names.length }, () => '')])
  }

  #record(type: OutcomeType, row: readonly string[], columns: AccountingColumns): LineVerdict {
    const field = (name: string) => columns.value(row, name)
    let uuid: string | undefined
    for (const name of uuidColumns) uuid ??= messageUuid(field(name))
    if (uuid === undefined) {
      this.#withoutUuid++
      return 'held'
    }
    const recipient = columns.recipient(row)
    if (recipient === '') return 'malformed'
    const status = field('dsnStatus')
    const { code, text } = remoteReply(field('dsnDiag'), status)
    const at = accountingTime(field('timeLogged'))
    this.#hooks.report({
      uuid,
      type: type === 'bounced' && softCategories.has(bounceCategory(field('bounceCat'))) ? 'soft_bounced' : type,
      at: at === undefined ? Number.NaN : at * 1000,
      recipient,
      code,
      description: cutDescription(text),
      log: {
        queueId: field('jobId'),
        to: recipient,
        origTo: undefined,
        relay: field('dsnMta'),
        dsn: status.split(' ')[0] ?? '',
        status: field('dsnAction'),
      },
    })
    return 'event'
  }

  counts(): Readonly<Record<string, number>> {
    return { withoutUuid: this.#withoutUuid }
  }

  end(): void {
    // Every line stands for itself.
  }

  save(): Iterable<string> {
    return Array.from(this.#columns, ([source, { names }]) => JSON.stringify([source, names]))
  }

  /**
   * Earlier versions wrote the place beside each name, without names that stood there before; the earliest did not say of
   * which source the columns are: the next header does.
   */
  restore(lines: Iterable<string>): void {
    for (const line of lines) {
      const [source, columns] = JSON.parse(line) as [unknown, readonly (string | [string, number])[]]
      if (typeof source !== 'string') continue
      const isComplete = columns.every(column => typeof column === 'string')
      const names = isComplete ? columns : namesByPlace(columns as readonly [string, number][])
      if (names.length > columnsMax) continue
      this.#setColumns(source, names)
      if (!isComplete) this.#incomplete.add(source)
    }
  }
}

function namesByPlace(places: readonly [string, number][]): readonly string[] {
  const names: string[] = []
  for (const [name, place] of places) if (place <= columnsMax) names[place] = name
  return Array.from(names, name => name ?? '')
}
