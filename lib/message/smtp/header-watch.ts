/** Counts `Received` fields (RFC 5321 section 6.3: a message that has passed too many hosts is in a loop). */
export class HeaderWatch {
  received = 0
  #line = ''
  #ended = false

  /** A piece of the message, CRLF line ends. */
  read(chunk: Buffer): void {
    if (this.#ended) return
    const text = this.#line + chunk.toString('latin1')
    let start = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      if (end - start <= 1) {
        this.#ended = true
        return
      }
      if (/^received[ \t]*:/i.test(text.slice(start, start + 16))) this.received++
      start = end + 1
    }
    // Of a long line the beginning is enough, as long as it isn't mistaken for an empty one.
    this.#line = text.slice(start, start + 16)
  }
}
