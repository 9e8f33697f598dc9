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
    const field = this.fields[this.indexOf(name)]
    return field && this.valueOf(field)
  }

  /** Values of all fields of this name (lower case), from the top. */
  all(name: string): string[] {
    return this.fields.filter(candidate => candidate.name === name).map(field => this.valueOf(field))
  }

  has(name: string): boolean {
    return this.indexOf(name) !== -1
  }

  /** Which of the fields, from one on, is the first of this name (lower case); -1 when there is none. */
  indexOf(name: string, from = 0): number {
    const { fields } = this
    for (let index = from; index < fields.length; index++) if (fields[index]!.name === name) return index
    return -1
  }

  /** The field's value, unfolded and without white space around it. */
  valueOf(field: HeaderField): string {
    const colon = this.text.indexOf(':', field.start)
    if (colon === -1 || colon >= field.end) return ''
    const value = trimSpace(this.text.slice(colon + 1, field.end))
    return value.includes('\n') ? value.replaceAll(/\r\n(?=[ \t])/g, '') : value
  }
}

function splitFields(text: string): HeaderField[] {
  const fields: HeaderField[] = []
  let start = 0
  while (start < text.length) {
    let end = nextLine(text, start)
    while (isFolded(text.charCodeAt(end))) end = nextLine(text, end)
    const colon = text.slice(start, end).indexOf(':')
    const name = text.slice(start, colon === -1 ? end : start + colon)
    fields.push({ name: trimSpace(name).toLowerCase(), start, end })
    start = end
  }
  return fields
}

function isFolded(char: number): boolean {
  return char === 0x20 || char === 0x09
}

function nextLine(text: string, from: number): number {
  const lineEnd = text.indexOf('\r\n', from)
  return lineEnd === -1 ? text.length : lineEnd + 2
}
