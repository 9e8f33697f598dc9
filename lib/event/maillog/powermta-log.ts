/**
 * PowerMTA's accounting files: CSV, a header line that begins with `type` (at the start of each file, or anywhere), one line
 * a record. Columns are found by the names in the header; without one nothing is guessed.
 *
 * | type | event |
 * |---|---|
 * | d | delivered |
 * | b | bounced; soft_bounced for the categories message-expired and quota-issues |
 * | t | deferred |
 * | rb | bounced (reported by mail, later) |
 *
 * The UUID stands in the column `header_X-Sendpost-Message-UUID` (`record-fields d *,header_X-Sendpost-Message-UUID`), else in
 * `jobId` or `envId`.
 */
import type { DeliveryLog, DeliveryLogHooks } from './delivery-log.ts'
import { cutDescription } from './kept-description.ts'
import { messageUuid } from './message-uuid.ts'
import type { OutcomeType } from './outcome.ts'

const types: Readonly<Record<string, OutcomeType>> = { d: 'delivered', b: 'bounced', t: 'deferred', rb: 'bounced' }
const softCategories = new Set(['message-expired', 'quota-issues'])
const uuidColumns = ['header_x-sendpost-message-uuid', 'jobid', 'envid']

/** Lower-case name → place; of a name that is there twice the first counts. */
type Columns = ReadonlyMap<string, number>

/** Sources whose columns are remembered; past it those of the one that came first are forgotten. */
const sourcesMax = 1000

export class PowerMtaLog implements DeliveryLog {
  readonly size = 0
  readonly #hooks: DeliveryLogHooks
  /** Of each source, by its last header. */
  readonly #columns = new Map<string, Columns>()
  #withoutUuid = 0

  constructor(hooks: DeliveryLogHooks) {
    this.#hooks = hooks
  }

  read(line: string, whole: boolean, _latestMs: number, source: string): string {
    const fields = csvFields(Buffer.from(line, 'latin1').toString('utf8').replace(/\r$/, ''))
    const [first] = fields ?? []
    if (!fields || first === undefined) return 'unparsed'
    if (/^#?type$/i.test(first)) {
      this.#setColumns(source, columnsOf(fields))
      return 'correlation'
    }
    const type = types[first]
    if (type === undefined) return 'other'
    const columns = this.#columns.get(source)
    if (!columns) return 'orphan'
    // Cut, or of another header.
    if (!whole || fields.length < columns.size) return 'malformed'
    return this.#record(type, fields, columns)
  }

  #setColumns(source: string, columns: Columns): void {
    const [first] = this.#columns.keys()
    if (first !== undefined && this.#columns.size >= sourcesMax && !this.#columns.has(source))
      this.#columns.delete(first)
    this.#columns.set(source, columns)
  }

  #record(type: OutcomeType, fields: readonly string[], columns: Columns): string {
    const field = (name: string) => fields[columns.get(name) ?? -1] ?? ''
    const recipient = field('rcpt')
    if (recipient === '') return 'malformed'
    let uuid: string | undefined
    for (const name of uuidColumns) uuid ??= messageUuid(field(name))
    if (uuid === undefined) {
      this.#withoutUuid++
      return 'held'
    }
    const diagnostic = field('dsndiag')
    const reply = diagnostic.replace(/^smtp;\s*/i, '')
    const code = /^smtp;/i.test(diagnostic) ? /^[2-5]\d\d(?=[\s-]|$)/.exec(reply)?.[0] : undefined
    const status = field('dsnstatus')
    this.#hooks.report({
      uuid,
      type: type === 'bounced' && softCategories.has(field('bouncecat')) ? 'soft_bounced' : type,
      at: accountingMicros(field('timelogged')),
      recipient,
      code: code === undefined ? undefined : Number(code),
      description: cutDescription(reply === '' ? status : reply),
      log: {
        queueId: field('jobid'),
        to: recipient,
        origTo: undefined,
        relay: field('dsnmta'),
        dsn: status.split(' ')[0] ?? '',
        status: field('dsnaction'),
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
    return Array.from(this.#columns, ([source, columns]) => JSON.stringify([source, [...columns]]))
  }

  /** What earlier versions wrote does not say of which source it is: the next header does. */
  restore(lines: Iterable<string>): void {
    for (const line of lines) {
      const [source, columns] = JSON.parse(line) as [unknown, [string, number][]]
      if (typeof source === 'string') this.#setColumns(source, new Map(columns))
    }
  }
}

function columnsOf(names: readonly string[]): Columns {
  const columns = new Map<string, number>()
  for (const [place, name] of names.entries()) {
    const key = place === 0 ? 'type' : name.trim().toLowerCase()
    if (!columns.has(key)) columns.set(key, place)
  }
  return columns
}

/** The fields of one line (RFC 4180); undefined when a quote is left open or stands where none may. */
export function csvFields(line: string): string[] | undefined {
  const fields: string[] = []
  for (let at = 0; ;) {
    if (line[at] === '"') {
      let text = ''
      for (at++; ;) {
        const quote = line.indexOf('"', at)
        if (quote === -1) return undefined
        text += line.slice(at, quote)
        at = quote + 1
        if (line[at] !== '"') break
        text += '"'
        at++
      }
      if (at < line.length && line[at] !== ',') return undefined
      fields.push(text)
    } else {
      const comma = line.indexOf(',', at)
      fields.push(line.slice(at, comma === -1 ? line.length : comma))
      at = comma === -1 ? line.length : comma
    }
    if (at >= line.length) return fields
    at++
  }
}

/** `2016-05-29 01:10:51+0200`, or Unix seconds; in microseconds, NaN for anything else. */
export function accountingMicros(value: string): number {
  if (/^\d{9,11}$/.test(value)) return Number(value) * 1_000_000
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?) ?([+-]\d\d):?(\d\d)$/.exec(value)
  return match ? Date.parse(`${match[1]}T${match[2]}${match[3]}:${match[4]}`) * 1000 : Number.NaN
}
