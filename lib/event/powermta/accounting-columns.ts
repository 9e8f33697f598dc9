/**
 * Where the fields of an accounting record stand, by the header line that came before it. PowerMTA 4.0 guide, 11.2.9: RFC 4180,
 * the header line names the union of the columns of all record types in it, and a record leaves those empty that it does not use.
 */

/** Most columns that a header may have. */
export const columnsMax = 256

/** Longest address, RFC 5321 §4.5.3.1, with room for UTF-8. */
const addressCharsMax = 512

type Field = (row: readonly string[]) => string

export class AccountingColumns {
  /** As they stood in the header line. */
  readonly names: readonly string[]
  /** Record type, lower case; '' where there is none. */
  readonly type: Field
  readonly recipient: Field
  /** Name in lower case → places; PowerMTA writes some columns twice. */
  readonly #places: ReadonlyMap<string, readonly number[]>
  readonly #fields = new Map<string, Field>()

  constructor(names: readonly string[]) {
    this.names = names
    const places = new Map<string, number[]>()
    for (const [place, name] of names.entries()) {
      const key = columnKey(name)
      const known = places.get(key)
      if (known) known.push(place)
      else places.set(key, [place])
    }
    this.#places = places
    const type = this.field('type')
    this.type = row => type(row).trim().toLowerCase()
    this.recipient = this.field('rcpt')
  }

  /** The reader of a column: its value in a row, the first that is not empty; '' where there is none. */
  field(name: string): Field {
    const places = this.#places.get(columnKey(name)) ?? []
    const [only] = places
    if (only === undefined) return () => ''
    if (places.length === 1) return row => row[only] ?? ''
    return row => {
      for (const place of places) {
        const value = row[place]
        if (value !== undefined && value !== '') return value
      }
      return ''
    }
  }

  /** The value of a column that is looked up when first asked for. */
  value(row: readonly string[], name: string): string {
    let field = this.#fields.get(name)
    if (!field) {
      field = this.field(name)
      this.#fields.set(name, field)
    }
    return field(row)
  }

  has(name: string): boolean {
    return this.#places.has(columnKey(name))
  }

  /** Why a row can't be a record of these columns: it was cut, belongs to another header, or is damaged. */
  flaw(row: readonly string[]): string | undefined {
    const { length } = this.names
    if (row.length !== length) return `${row.length} fields, the header line has ${length}`
    const recipient = this.recipient(row)
    if (recipient.length > addressCharsMax || /\p{Cc}/u.test(recipient)) return 'the recipient is no address'
    return undefined
  }
}

/** Whether a row is a header line: it names the column `type`, which PowerMTA puts first, and no record has such a type. */
export function isHeaderRow(row: readonly string[]): boolean {
  return namesColumns(row) && headerFlaw(row) === undefined
}

/** Why a row that names columns is no header line after all; undefined for any other row. */
export function headerFlaw(row: readonly string[]): string | undefined {
  if (!namesColumns(row)) return undefined
  if (row.length > columnsMax) return `a header line of ${row.length} columns, ${columnsMax} are the most`
  // Lines that end in CR alone look like one header line of many columns.
  if (row.some(name => /\p{Cc}/u.test(name.trim()))) {
    return 'a header line with control characters: lines should end in LF or CRLF'
  }
  return undefined
}

function namesColumns(row: readonly string[]): boolean {
  const first = row[0] ?? ''
  if (first.length <= 2) return false
  if (columnKey(first) === 'type') return true
  const keys = new Set(row.map(columnKey))
  return keys.has('type') && keys.has('rcpt')
}

function columnKey(name: string): string {
  return name.trim().replace(/^#/, '').toLowerCase()
}
