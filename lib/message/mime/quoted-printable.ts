/** The quoted-printable transfer encoding (RFC 2045 §6.7), changed in place. */
import type { BodyText, ChangedBody } from './body-text.ts'
import type { Edit } from './edit.ts'

/** Longest encoded line without its line end, in characters. */
const lineCharsMax = 76

/** Values of hexadecimal digits, by byte; -1 for what is none. */
const hexDigits = new Int8Array(256).fill(-1)
for (const [value, digit] of Buffer.from('0123456789abcdef').entries()) hexDigits[digit] = value
for (const [value, digit] of Buffer.from('ABCDEF').entries()) hexDigits[digit] = value + 10

/**
 * Decoded text that remembers where each character stands in the encoded body, so that a change touches only the lines
 * that it lies on.
 *
 * Lenient as readers are: white space at a line's end is transport padding, an `=` that starts no escape is itself.
 */
export class QuotedPrintableText implements BodyText {
  readonly text: string
  readonly bytes: Uint8Array
  readonly #encoded: string
  /** From the decoded place `#from[k]` on, a character stands `#shift[k]` further on in the encoded body. */
  readonly #from: Int32Array
  readonly #shift: Int32Array
  #segments = 1

  constructor(body: Buffer) {
    this.#encoded = body.toString('latin1')
    // A segment begins behind an escape, a soft break or padding, each of which takes three bytes with what it needs.
    this.#from = new Int32Array(Math.ceil(body.length / 3) + 2)
    this.#shift = new Int32Array(this.#from.length)
    const bytes = this.#decode(body)
    this.bytes = bytes
    this.text = bytes.toString('latin1')
  }

  splice(edits: readonly Edit[]): ChangedBody {
    const encoded = this.#encoded
    let out = ''
    let from = 0
    let column = 0
    let segment = 0
    for (const [index, { start, end, text }] of edits.entries()) {
      // Behind the character before it: a soft break or padding that follows is not to become text.
      segment = this.#segmentOf(start - 1, segment)
      const encodedStart = this.#encodedEnd(start, segment)
      segment = this.#segmentOf(end - 1, segment)
      const encodedEnd = this.#encodedEnd(end, segment)
      const kept = encoded.slice(from, encodedStart)
      const lastLine = kept.lastIndexOf('\r\n')
      column = lastLine === -1 ? column + kept.length : kept.length - lastLine - 2
      const written = encodeFrom(text, column)
      out += kept + written.text
      column = written.column
      from = encodedEnd
      // What stands behind it on its line moves to a line of its own when both do not fit in one.
      const ahead = encoded.slice(from, from + lineCharsMax + 2)
      const lineEnd = ahead.indexOf('\r\n')
      const rest = lineEnd === -1 ? ahead.length : lineEnd
      if (rest > 0 && column + rest > lineCharsMax && !isSoftBreak(ahead)) {
        // A line that begins with a dash could be a delimiter.
        const isDash = ahead[0] === '-' && edits[index + 1]?.start !== end
        out += isDash ? '=\r\n=2D' : '=\r\n'
        column = isDash ? 3 : 0
        from += isDash ? 1 : 0
      }
    }
    return { bytes: Buffer.from(out + encoded.slice(from), 'latin1') }
  }

  /** Behind the character before a decoded place. */
  #encodedEnd(place: number, segment: number): number {
    if (place === 0) return 0
    const last = place - 1 + (this.#shift[segment] ?? 0)
    return last + (isEscape(this.#encoded, last) ? 3 : 1)
  }

  #segmentOf(place: number, from: number): number {
    let low = from
    let high = this.#segments - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#from[middle] ?? 0) <= place) low = middle
      else high = middle - 1
    }
    return low
  }

  #decode(body: Buffer): Buffer {
    const { length } = body
    const out = Buffer.allocUnsafe(length)
    const places = this.#from
    const shifts = this.#shift
    let segments = 1
    const mark = (decoded: number, encoded: number): void => {
      if (places[segments - 1] !== decoded) segments++
      places[segments - 1] = decoded
      shifts[segments - 1] = encoded - decoded
    }
    let to = 0
    // White space before it was escaped or stands before a soft break: it is no padding.
    let escapedTo = 0
    const dropPadding = (at: number): void => {
      let end = to
      while (end > escapedTo && (out[end - 1] === 0x20 || out[end - 1] === 0x09)) end--
      if (end === to) return
      to = end
      mark(to, at)
    }
    let at = 0
    let endsInSoftBreak = false
    for (;;) {
      let byte = 0
      while (at < length) {
        byte = body[at]!
        if (byte === 0x3d || byte === 0x0d) break
        out[to++] = byte
        at++
      }
      if (at >= length) break
      if (byte === 0x3d) {
        const high = hexDigits[body[at + 1] ?? 0]!
        const low = hexDigits[body[at + 2] ?? 0]!
        let next = at + 1
        if (high >= 0 && low >= 0) {
          out[to++] = (high << 4) | low
          at += 3
          escapedTo = to
          mark(to, at)
          continue
        }
        while (body[next] === 0x20 || body[next] === 0x09) next++
        if (body[next] === 0x0d && body[next + 1] === 0x0a) {
          at = next + 2
          escapedTo = to
          mark(to, at)
          continue
        }
        // So is one at the end, whose line end belongs to the delimiter.
        if (next >= length) {
          at = next
          endsInSoftBreak = true
          break
        }
      } else if (body[at + 1] === 0x0a) dropPadding(at)
      out[to++] = byte
      at++
    }
    if (!endsInSoftBreak) dropPadding(at)
    this.#segments = segments
    return out.subarray(0, to)
  }
}

/** Encodes a whole body; its line ends stay. One character a byte. */
export function encodeQuotedPrintable(text: string): Buffer {
  const lines = text.split('\r\n')
  return Buffer.from(lines.map(line => encodeFrom(line, 0, true).text).join('\r\n'), 'latin1')
}

const needsEscape = /[^\t\r\n -<>-~]/
const needsEscapeAll = /[^\t -<>-~]/g

/** Encodes from a column on, with soft line breaks; leaves room for one at the end. */
function encodeFrom(text: string, column: number, wholeLine = false): { text: string; column: number } {
  if (!wholeLine && text.includes('\r\n')) {
    const cut = text.indexOf('\r\n')
    const head = encodeFrom(text.slice(0, cut), column)
    const tail = encodeFrom(text.slice(cut + 2), 0)
    return { text: `${head.text}\r\n${tail.text}`, column: tail.column }
  }
  let escaped =
    wholeLine || needsEscape.test(text)
      ? text.replaceAll(needsEscapeAll, char => `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
      : text
  if (wholeLine) escaped = escaped.replace(/[ \t]$/, space => (space === ' ' ? '=20' : '=09'))
  let out = ''
  let at = 0
  let to = column
  while (to + escaped.length - at >= lineCharsMax) {
    if (wholeLine && to === 0 && escaped.length - at === lineCharsMax) break
    let end = at + Math.max(0, lineCharsMax - 1 - to)
    // An escape is not divided, and no line is made that begins as a delimiter does.
    if (escaped[end - 1] === '=') end -= 1
    else if (escaped[end - 2] === '=') end -= 2
    while (end > at && escaped[end] === '-') end--
    if (end <= at && to === 0) end = Math.min(escaped.length, at + lineCharsMax - 1)
    if (end < at) end = at
    out += `${escaped.slice(at, end)}=\r\n`
    at = end
    to = 0
  }
  return { text: out + escaped.slice(at), column: to + escaped.length - at }
}

function isSoftBreak(text: string): boolean {
  return /^=[ \t]*(?:\r\n|$)/.test(text)
}

function isEscape(encoded: string, at: number): boolean {
  return encoded.charCodeAt(at) === 0x3d && /^[0-9A-Fa-f]{2}$/.test(encoded.slice(at + 1, at + 3))
}
