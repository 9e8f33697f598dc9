/**
 * The text between two places of a line whose bytes were read as latin1, decoded as UTF-8 (U+FFFD for what is none).
 * Always a copy: a plain slice would keep the whole chunk that it was read with in memory for as long as it lives.
 */
export function keptText(line: string, from: number, to: number): string {
  return Buffer.from(line.slice(from, to), 'latin1').toString('utf8')
}
