/** Civil time of a zone as an instant: what a log stamp without zone needs. */

const dayMs = 86_400_000

/** By how much clocks of a zone are ahead of UTC at an instant; both in milliseconds. */
type Offset = (instantMs: number) => number

export class TimeZone {
  readonly #offset: Offset

  /**
   * @param name IANA name such as `Europe/Berlin`, or `UTC`; that of this process when absent
   * @throws RangeError for a name that is none
   */
  constructor(name?: string) {
    // What knows of other zones takes 7 MB of memory.
    this.#offset = name === undefined ? processOffset : offsetOf(name)
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
}

const processOffset: Offset = instantMs => -60_000 * new Date(instantMs).getTimezoneOffset()

/** @throws RangeError for a name that is none */
function offsetOf(name: string): Offset {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  /** Per quarter of an hour of UTC: formatting is slow, and zones change only on the quarter hour. */
  const offsets = new Map<number, number>()
  return instantMs => {
    const quarter = Math.floor(instantMs / 900_000)
    const known = offsets.get(quarter)
    if (known !== undefined) return known
    const part: Record<string, number> = {}
    for (const { type, value } of format.formatToParts(quarter * 900_000)) part[type] = Number(value)
    const civil = Date.UTC(part['year']!, part['month']! - 1, part['day'], part['hour'], part['minute'], part['second'])
    const offset = civil - quarter * 900_000
    if (offsets.size > 1000) offsets.clear()
    offsets.set(quarter, offset)
    return offset
  }
}
