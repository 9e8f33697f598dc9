/** The fields of CSV records. */
import Papa from 'papaparse'

/**
 * Splits complete records into fields.
 * @param records well-formed, without line ends at their end, none empty
 * @param quoted whether any of them contains a quote; false is several times faster
 * @returns one row a record, in order; undefined for a record that is no single row
 */
export function csvRows(records: readonly string[], quoted: boolean): (readonly string[] | undefined)[] {
  if (records.length === 0) return []
  const rows = parse(records.join('\n'), quoted)
  // Should parser and framer ever see different records, only those that differ are lost.
  return rows.length === records.length ? rows : records.map(record => onlyRow(parse(record, quoted)))
}

function parse(text: string, quoted: boolean): string[][] {
  return Papa.parse<string[]>(text, { delimiter: ',', newline: '\n', quoteChar: '"', fastMode: !quoted }).data
}

function onlyRow(rows: readonly string[][]): readonly string[] | undefined {
  return rows.length === 1 ? rows[0] : undefined
}
