/**
 * Cuts a stream of bytes into CSV records (RFC 4180): at line ends that do not stand inside quotes.
 *
 * Chunks may end anywhere. A record is never longer than `recordBytesMax`. After a broken quote only the line that it
 * stands in is lost: framing begins anew with the next line.
 */

const recordBytesMax = 64 * 1024

/**
 * Line ends within a record. More, and a quote was left open: each line that may begin such a record is read on from to
 * see where it ends, and what it costs must not grow with the input.
 */
const lineEndsMax = 32

/** How much of a rejected line is kept, in bytes. */
const rejectedBytesMax = 4 * 1024

export interface RejectedLine {
  /** Its beginning. */
  readonly text: string
  readonly reason: string
}

export interface Framed {
  /** Complete records without their line ends, none empty. */
  readonly records: readonly string[]
  /** Whether any of them contains a quote. */
  readonly quoted: boolean
  readonly rejected: readonly RejectedLine[]
}

const lf = 0x0a
const cr = 0x0d
const quote = 0x22
const comma = 0x2c
const none = Buffer.alloc(0)

export class RecordFramer {
  readonly #bytesMax: number
  #rest: Buffer = none
  /** The rest of a line that was too long is still to be skipped. */
  #skipping = false
  #atStart = true

  constructor(bytesMax: number = recordBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** Whether the beginning of a record is held whose end has not come. */
  get hasRest(): boolean {
    return this.#rest.length > 0
  }

  push(chunk: Buffer): Framed {
    return this.#frame(chunk, false)
  }

  /** The input has ended: what is left is a record without line end, or broken. */
  end(): Framed {
    const framed = this.#frame(none, true)
    this.#skipping = false
    return framed
  }

  /**
   * Nothing more has come for long. A quote that was opened on an earlier line will not be closed any more: gives up
   * that line and frames what follows it.
   */
  resync(): Framed {
    return this.#rest.includes(lf) ? this.#frame(none, false, true) : { records: [], quoted: false, rejected: [] }
  }

  #frame(chunk: Buffer, isEnd: boolean, giveUp = isEnd): Framed {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = none
    const rejected: RejectedLine[] = []
    if (this.#atStart && bytes.length >= 3) {
      if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3)
      this.#atStart = false
    }
    if (this.#skipping) {
      const end = bytes.indexOf(lf)
      if (end < 0) return { records: [], quoted: false, rejected }
      bytes = bytes.subarray(end + 1)
      this.#skipping = false
    }
    const quoted = bytes.includes(quote)
    const records = quoted ? this.#quoted(bytes, isEnd, giveUp, rejected) : this.#plain(bytes, rejected)
    if (isEnd && this.#rest.length > 0) {
      const last = withoutCr(this.#rest, 0, this.#rest.length)
      if (last !== '') records.push(last)
      this.#rest = none
    } else if (this.#rest.length > this.#bytesMax && !this.#rest.includes(lf)) {
      rejected.push(this.#tooLong(this.#rest))
      this.#rest = none
      this.#skipping = true
    }
    return { records, quoted, rejected }
  }

  /** Without quotes every line is a record. */
  #plain(bytes: Buffer, rejected: RejectedLine[]): string[] {
    const end = bytes.lastIndexOf(lf)
    if (end < 0) {
      this.#rest = bytes
      return []
    }
    this.#rest = bytes.subarray(end + 1)
    const text = bytes.toString('utf8', 0, end)
    const lines = text.split(text.includes('\r') ? /\r?\n/ : '\n')
    const last = lines.at(-1)
    if (last?.endsWith('\r')) lines[lines.length - 1] = last.slice(0, -1)
    return lines.filter(line => {
      if (line.length <= this.#bytesMax) return line !== ''
      rejected.push(this.#tooLong(Buffer.from(line)))
      return false
    })
  }

  #quoted(bytes: Buffer, isEnd: boolean, giveUp: boolean, rejected: RejectedLine[]): string[] {
    const records: string[] = []
    let start = 0
    let nextQuote = bytes.indexOf(quote)
    while (start < bytes.length) {
      const lineEnd = bytes.indexOf(lf, start)
      if (nextQuote >= 0 && nextQuote < start) nextQuote = bytes.indexOf(quote, start)
      const isPlain = nextQuote < 0 || (lineEnd >= 0 && nextQuote > lineEnd)
      const end = isPlain ? (lineEnd < 0 ? unended : lineEnd) : endOfRecord(bytes, start)
      const isLong = (end < 0 ? bytes.length : end) - start > this.#bytesMax
      // Also a line that looks broken is judged only when its end has come.
      const mayGoOn = !isLong && (end === unended || (end === openQuote && !giveUp))
      if (mayGoOn || (end < 0 && lineEnd < 0 && !isEnd)) {
        this.#rest = bytes.subarray(start)
        break
      }
      if (end >= 0 && !isLong) {
        const record = withoutCr(bytes, start, end)
        if (record !== '') records.push(record)
        start = end + 1
        continue
      }
      const stop = lineEnd < 0 ? bytes.length : lineEnd
      rejected.push(
        stop - start > this.#bytesMax
          ? this.#tooLong(bytes.subarray(start, stop))
          : { text: head(bytes.subarray(start, stop)), reason: 'a quoted field does not end as it should' },
      )
      start = stop + 1
    }
    return records
  }

  #tooLong(bytes: Buffer): RejectedLine {
    return { text: head(bytes), reason: `longer than ${this.#bytesMax} bytes` }
  }
}

/** The bytes end inside a quoted field. */
const openQuote = -1
/** The bytes end where a record might. */
const unended = -2
/** Something stands behind a closing quote, or too many lines within a record. */
const broken = -3

/** Where the line end of the record that begins at `start` stands, or why there is none. */
function endOfRecord(bytes: Buffer, start: number): number {
  let at = start
  let lineEnds = 0
  let nextLineEnd = bytes.indexOf(lf, start)
  for (;;) {
    // At the beginning of a field.
    if (bytes[at] === quote) {
      for (;;) {
        const next = bytes.indexOf(quote, at + 1)
        at = next < 0 ? bytes.length : next
        for (; nextLineEnd >= 0 && nextLineEnd < at; nextLineEnd = bytes.indexOf(lf, nextLineEnd + 1)) {
          if (++lineEnds > lineEndsMax) return broken
        }
        if (next < 0) return openQuote
        if (bytes[at + 1] !== quote) break
        at += 1
      }
      at += 1
      if (bytes[at] === cr && (at + 1 >= bytes.length || bytes[at + 1] === lf)) at += 1
      if (at >= bytes.length) return unended
      if (bytes[at] !== comma && bytes[at] !== lf) return broken
    } else {
      while (at < bytes.length && bytes[at] !== comma && bytes[at] !== lf) at += 1
      if (at >= bytes.length) return unended
    }
    if (bytes[at] === lf) return at
    at += 1
  }
}

function withoutCr(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end > start && bytes[end - 1] === cr ? end - 1 : end)
}

function head(bytes: Buffer): string {
  return bytes.toString('utf8', 0, rejectedBytesMax)
}
