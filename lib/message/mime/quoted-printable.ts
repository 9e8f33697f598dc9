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
 * Decoded text that remembers where each of its lines stands in the encoded body, so that a change touches only the
 * lines that it lies on.
 *
 * Lenient as readers are: white space at a line's end is transport padding, an `=` that starts no escape is itself.
 */
export class QuotedPrintableText implements BodyText {
  readonly text: string
  readonly bytes: Uint8Array
  readonly #body: Buffer
  /**
   * Places where decoding goes on behind something that stands for no character or is a line end: each in the decoded
   * text, then in the encoded body. In between a character takes one byte, or three when it is escaped.
   */
  readonly #marks: number[] = [0, 0]

  constructor(body: Buffer) {
    this.#body = body
    const decoded = Buffer.allocUnsafe(body.length)
    const bytes = decoded.subarray(0, decode(body, decoded, this.#marks))
    this.bytes = bytes
    this.text = bytes.toString('latin1')
  }

  splice(edits: readonly Edit[]): ChangedBody {
    const encoded = this.#body.toString('latin1')
    const places = new EncodedPlaces(this.#body, this.#marks)
    let out = ''
    let from = 0
    let column = 0
    for (const [index, { start, end, text }] of edits.entries()) {
      // Behind the character before it: a soft break or padding that follows is not to become text.
      const encodedStart = places.behind(start)
      const encodedEnd = places.behind(end)
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
}

/** Finds places of a decoded text in the encoded body, one after the other. */
class EncodedPlaces {
  readonly #body: Buffer
  readonly #marks: readonly number[]
  #mark = 0
  #decoded = 0
  #encoded = 0

  constructor(body: Buffer, marks: readonly number[]) {
    this.#body = body
    this.#marks = marks
  }

  /** Behind the character before a decoded place, which does not lie before the one that was asked for last. */
  behind(place: number): number {
    if (place === 0) return 0
    const marks = this.#marks
    let low = this.#mark
    let high = marks.length / 2 - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (marks[2 * middle]! < place) low = middle
      else high = middle - 1
    }
    this.#mark = low
    // What was walked already is not walked again, however long the line is.
    if (marks[2 * low]! >= this.#decoded) {
      this.#decoded = marks[2 * low]!
      this.#encoded = marks[2 * low + 1]!
    }
    for (; this.#decoded < place; this.#decoded++) this.#encoded += isEscape(this.#body, this.#encoded) ? 3 : 1
    return this.#encoded
  }
}

/**
 * @param out takes the decoded bytes
 * @param marks are added to
 * @returns how many bytes it took
 */
function decode(body: Buffer, out: Buffer, marks: number[]): number {
  const { length } = body
  let to = 0
  // White space before it was escaped or stands before a soft break: it is no padding.
  let escapedTo = 0
  let at = 0
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
      if (at + 2 < length) {
        const value = (hexDigits[body[at + 1]!]! << 4) | hexDigits[body[at + 2]!]!
        if (value >= 0) {
          out[to++] = value
          at += 3
          escapedTo = to
          continue
        }
      }
      const end = softBreakEnd(body, at)
      // A soft break ends the body where its line end belongs to the delimiter.
      if (end === length) return to
      if (end !== -1) {
        at = end
        escapedTo = to
        marks.push(to, at)
        continue
      }
    } else if (at + 1 < length && body[at + 1] === 0x0a) {
      const kept = withoutPadding(out, escapedTo, to)
      if (kept !== to) {
        to = kept
        marks.push(to, at)
      }
      out[to++] = 0x0d
      out[to++] = 0x0a
      at += 2
      marks.push(to, at)
      continue
    }
    out[to++] = byte
    at++
  }
  return withoutPadding(out, escapedTo, to)
}

/** Behind the soft line break that begins at an `=`; -1 when it begins none. */
function softBreakEnd(body: Buffer, at: number): number {
  const { length } = body
  let end = at + 1
  while (end < length && (body[end] === 0x20 || body[end] === 0x09)) end++
  if (end === length) return length
  return end + 1 < length && body[end] === 0x0d && body[end + 1] === 0x0a ? end + 2 : -1
}

/** Where white space at the end of decoded text begins. */
function withoutPadding(out: Buffer, from: number, to: number): number {
  let end = to
  while (end > from && (out[end - 1] === 0x20 || out[end - 1] === 0x09)) end--
  return end
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

function isEscape(body: Buffer, at: number): boolean {
  return body[at] === 0x3d && hexDigits[body[at + 1] ?? 0]! >= 0 && hexDigits[body[at + 2] ?? 0]! >= 0
}
