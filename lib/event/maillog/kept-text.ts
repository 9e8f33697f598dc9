const scratch = Buffer.allocUnsafeSlow(4096)

/**
 * The text between two places of a line whose bytes were read as latin1, decoded as UTF-8 (U+FFFD for what is none).
 * Always a copy: a plain slice would keep the whole chunk that it was read with in memory for as long as it lives.
 */
export function keptText(line: string, from: number, to: number): string {
  const text = from === 0 && to === line.length ? line : line.slice(from, to)
  if (text.length > scratch.length) return Buffer.from(text, 'latin1').toString('utf8')
  return scratch.toString('utf8', 0, scratch.write(text, 'latin1'))
}
