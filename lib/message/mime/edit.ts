/** A change of a decoded text: the characters from `start` to `end` give way to `text`. */
export interface Edit {
  readonly start: number
  readonly end: number
  /** Printable ASCII and CRLF. */
  readonly text: string
}

/**
 * A decoded text with its edits made.
 *
 * @param edits by place, not overlapping
 */
export function splicedBytes(bytes: Buffer, edits: readonly Edit[]): Buffer {
  let length = bytes.length
  for (const { start, end, text } of edits) length += text.length - (end - start)
  const out = Buffer.allocUnsafe(length)
  let from = 0
  let to = 0
  for (const { start, end, text } of edits) {
    bytes.copy(out, to, from, start)
    to += start - from
    to += out.write(text, to, 'latin1')
    from = end
  }
  bytes.copy(out, to, from)
  return out
}
