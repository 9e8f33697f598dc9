/** The bounds of the map of queue ids, and what is a matter of taste. */
export interface CorrelatorOptions {
  /** How long a queue id is remembered after its last sign of life, ms. */
  readonly ttlMs: number
  /** How long after it left the queue, ms: the line that names it as the next hop may come later. */
  readonly removedGraceMs: number
  /** Queue ids remembered at once; past it the oldest are forgotten. */
  readonly entriesMax: number
  /** Least time between two reports of a deferral of the same recipient, ms. */
  readonly deferredIntervalMs: number
  /** Relays (whole text or the part before `[`) whose `sent` is never a delivery, such as the pipe to a content filter. */
  readonly hopRelays: readonly string[]
}

export const correlatorDefaults: CorrelatorOptions = {
  ttlMs: 5 * 86_400_000,
  removedGraceMs: 2 * 60_000,
  entriesMax: 500_000,
  deferredIntervalMs: 0,
  hopRelays: [],
}
