/** Counts `Received` fields (RFC 5321 section 6.3: a message that has passed too many hosts is in a loop). */
export class HeaderWatch {
  received = 0
  /** Beginning of a line that is not complete. */
  #line = ''
  #ended = false

  /** A piece of the message, CRLF line ends. Looks no further than the header goes. */
  read(chunk: Buffer): void {
    let start = 0
    while (!this.#ended) {
      const end = chunk.indexOf(0x0a, start)
      // Most fields are told by their first letter.
      if (end !== -1 && this.#line === '' && !mayMatter(chunk[start]!)) {
        start = end + 1
        continue
      }
      const to = Math.min(end === -1 ? chunk.length : end, start + beginningChars)
      // Of a long line the beginning is enough, as long as it isn't mistaken for an empty one.
      const line = (this.#line + chunk.toString('latin1', start, to)).slice(0, beginningChars)
      if (end === -1) {
        this.#line = line
        return
      }
      this.#line = ''
      this.#ended = line === '' || line === '\r'
      if (/^received[ \t]*:/i.test(line)) this.received++
      start = end + 1
    }
  }
}

/** Whether a line that begins with this byte may be a `Received` field, or the empty line. */
function mayMatter(byte: number): boolean {
  return byte === 0x52 || byte === 0x72 || byte === 0x0d || byte === 0x0a
}

/** Characters of a line that are looked at. */
const beginningChars = 16
