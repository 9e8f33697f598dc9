/** Parts of log lines as text. */

const scratch = Buffer.allocUnsafeSlow(4096)

/**
 * The text between two places of a line whose bytes were read as latin1, decoded as UTF-8 (U+FFFD for what is none). It may
 * be a view of the line, which keeps the whole chunk in memory that the line was read with: for what is used at once.
 */
export function lineText(line: string, from: number, to: number): string {
  for (let place = from; place < to; place++) if (line.charCodeAt(place) > 127) return lineTextCopy(line, from, to)
  return line.slice(from, to)
}

/** The same, always a copy: for what is kept. */
export function lineTextCopy(line: string, from: number, to: number): string {
  const text = from === 0 && to === line.length ? line : line.slice(from, to)
  if (text.length > scratch.length) return Buffer.from(text, 'latin1').toString('utf8')
  return scratch.toString('utf8', 0, scratch.write(text, 'latin1'))
}

/** A copy of a text that may be a view of a longer one. */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8')
}
