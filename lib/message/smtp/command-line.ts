/** Command lines (RFC 5321 section 4.1.1). */

/** Its first word, upper case. */
export function verbOf(line: Buffer): string {
  const end = line.indexOf(32)
  return line.toString('latin1', 0, end === -1 ? line.length : end).toUpperCase()
}
