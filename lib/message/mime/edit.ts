/** A change of a decoded text: the characters from `start` to `end` give way to `text`. */
export interface Edit {
  readonly start: number
  readonly end: number
  /** Printable ASCII and CRLF. */
  readonly text: string
}
