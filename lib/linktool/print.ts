/** Results on standard output. Settles when the system has taken them. */

/** One line. */
export async function print(text: string): Promise<void> {
  await new Promise<void>(resolve => process.stdout.write(`${text}\n`, () => resolve()))
}

/** What strangers wrote, so that it can't move the cursor, recolour the terminal or turn the direction of writing. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·')
}

/** Columns as wide as their widest cell, a heading over each; the last one is never filled up. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows]
  const widths = heading.map((_, column) => Math.max(...all.map(row => row[column]?.length ?? 0)))
  return all
    .map(row => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!))).join('  '))
    .map(line => line.trimEnd())
    .join('\n')
}

/** Names and values, a pair a line, printable; those without a value are left out. */
export function fields(pairs: Readonly<Record<string, string | undefined>>): string {
  const present = Object.entries(pairs).filter(([, value]) => value !== undefined)
  const width = Math.max(...present.map(([name]) => name.length))
  return present.map(([name, value]) => `${name.padEnd(width)}  ${printable(value ?? '')}`).join('\n')
}
