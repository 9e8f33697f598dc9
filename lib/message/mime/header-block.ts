/** The header block of a message or of a part (RFC 5322 §2.2, RFC 2046 §5.1), byte-exact. */

/** Where a field stands; its bytes are `start` to `end`, the line end of its last line included. */
export interface HeaderField {
  /** Lower case, without white space around it. A line without a colon is a field whose name is the line. */
  readonly name: string
  readonly start: number
  readonly end: number
}

/** Removes ASCII white space at both ends. Unlike `trim` it leaves 0xA0, which is text in most charsets. */
export function trimSpace(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isSpace(char: number): boolean {
  return char === 0x20 || (char >= 0x09 && char <= 0x0d)
}

export class HeaderBlock {
  /** The block, one character a byte (Latin-1), without the empty line that ends it. */
  readonly text: string
  readonly fields: readonly HeaderField[]

  /** @param block ends with the line end of the last field, or without one where the message ends there */
  constructor(block: Uint8Array | string) {
    this.text =
      typeof block === 'string' ? block : Buffer.from(block.buffer, block.byteOffset, block.length).toString('latin1')
    this.fields = splitFields(this.text)
  }

  /** Value of the first field of this name (lower case), unfolded, one character a byte. Undefined when there is none. */
  get(name: string): string | undefined {
    const field = this.fields.find(candidate => candidate.name === name)
    return field && this.valueOf(field)
  }

  /** Values of all fields of this name (lower case), from the top. */
  all(name: string): string[] {
    return this.fields.filter(candidate => candidate.name === name).map(field => this.valueOf(field))
  }

  has(name: string): boolean {
    return this.fields.some(candidate => candidate.name === name)
  }

  /** The field's value, unfolded and without white space around it. */
  valueOf(field: HeaderField): string {
    const colon = this.text.indexOf(':', field.start)
    if (colon === -1 || colon >= field.end) return ''
    return trimSpace(this.text.slice(colon + 1, field.end).replaceAll(/\r\n(?=[ \t])/g, ''))
  }
}

function splitFields(text: string): HeaderField[] {
  const fields: HeaderField[] = []
  let start = 0
  while (start < text.length) {
    let end = nextLine(text, start)
    while (end < text.length && (text[end] === ' ' || text[end] === '\t')) end = nextLine(text, end)
    const field = text.slice(start, end)
    const colon = field.indexOf(':')
    const name = colon === -1 ? field : field.slice(0, colon)
    fields.push({ name: trimSpace(name).toLowerCase(), start, end })
    start = end
  }
  return fields
}

function nextLine(text: string, from: number): number {
  const lineEnd = text.indexOf('\r\n', from)
  return lineEnd === -1 ? text.length : lineEnd + 2
}
