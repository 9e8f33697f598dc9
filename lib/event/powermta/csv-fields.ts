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
