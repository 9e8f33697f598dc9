/** What a line was good for; the label of the counter of lines. */
export const lineVerdicts = [
  /** An event. */
  'event',
  /** A result of a message whose UUID is not known (yet). */
  'held',
  /** `sent` to where the message goes on under another queue id. */
  'hop',
  /** Delivery of a notification that Postfix made. */
  'notification',
  /** A result that was reported before: a repeated SOFTBOUNCE or deferral. */
  'repeat',
  /** An address probe. */
  'probe',
  /** A result of a queue id that was never opened in this log. */
  'orphan',
  /** A status line that can't be read. */
  'malformed',
  /** Opens, names or ends a queue id. */
  'correlation',
  /** Bears a queue id, says nothing of use. */
  'other',
  /** Bears no queue id. */
  'skipped',
  /** No known line format. */
  'unparsed',
] as const
export type LineVerdict = (typeof lineVerdicts)[number]
