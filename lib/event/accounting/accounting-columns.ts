/** Where the fields of an accounting record stand, by the header line that came before it. */

/** Most columns that a header may have. */
export const columnsMax = 256

export class AccountingColumns {
  /** As they stood in the header line. */
  readonly names: readonly string[]
  /** Name in lower case → places; PowerMTA writes some columns twice. */
  readonly #places: ReadonlyMap<string, readonly number[]>

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
  }

  /** The reader of a column: its value in a row, the first that is not empty; '' where there is none. */
  field(name: string): (row: readonly string[]) => string {
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

  has(name: string): boolean {
    return this.#places.has(columnKey(name))
  }
}

/** Whether a row is a header line: it names the column `type`, which PowerMTA puts first, and no record has such a type. */
export function isHeaderRow(row: readonly string[]): boolean {
  const first = row[0] ?? ''
  if (first.length <= 2 || row.length > columnsMax) return false
  const keys = row.map(columnKey)
  return keys[0] === 'type' || (keys.includes('type') && keys.includes('rcpt'))
}

function columnKey(name: string): string {
  return name.trim().replace(/^#/, '').toLowerCase()
}
