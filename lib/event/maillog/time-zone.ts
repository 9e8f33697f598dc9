/** Civil time of a zone as an instant: what a log stamp without zone needs. */

const dayMs = 86_400_000

export class TimeZone {
  readonly #format: Intl.DateTimeFormat
  /** Offset per hour of UTC, in milliseconds: formatting is slow, and zones change only on the quarter hour. */
  readonly #offsets = new Map<number, number>()

  /**
   * @param name IANA name such as `Europe/Berlin`, or `UTC`
   * @throws RangeError for a name that is none
   */
  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  }

  /** The zone that this process runs in. */
  static system(): TimeZone {
    return new TimeZone(new Intl.DateTimeFormat().resolvedOptions().timeZone)
  }

  /**
   * The instants at which clocks of the zone show a civil time: one, two when clocks were set back over it (earlier first),
   * and the one an hour off when they were set forward over it. Milliseconds, both the civil time (counted as if it were
   * UTC) and the instants.
   */
  instants(civilMs: number): readonly [number] | readonly [number, number] {
    const before = civilMs - this.#offset(civilMs - dayMs)
    const after = civilMs - this.#offset(civilMs + dayMs)
    if (before === after) return [before]
    const right = [before, after].filter(instant => instant + this.#offset(instant) === civilMs)
    if (right.length === 2) return before < after ? [before, after] : [after, before]
    return [right[0] ?? before]
  }

  #offset(instantMs: number): number {
    const quarter = Math.floor(instantMs / 900_000)
    const known = this.#offsets.get(quarter)
    if (known !== undefined) return known
    const part: Record<string, number> = {}
    for (const { type, value } of this.#format.formatToParts(quarter * 900_000)) part[type] = Number(value)
    const civil = Date.UTC(part['year']!, part['month']! - 1, part['day'], part['hour'], part['minute'], part['second'])
    const offset = civil - quarter * 900_000
    if (this.#offsets.size > 1000) this.#offsets.clear()
    this.#offsets.set(quarter, offset)
    return offset
  }
}
