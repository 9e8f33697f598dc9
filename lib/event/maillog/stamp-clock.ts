/**
 * The instants that the stamps of log lines mean. A traditional stamp, `Feb  9 13:00:05`, has neither year nor zone: both
 * are inferred, the year from when the file was last written, the zone from the setting or this machine.
 */
import { keptText } from './kept-text.ts'
import type { TimeZone } from './time-zone.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const yearsTried = 9

const months = new Map(
  ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'].map((name, index) => [
    name,
    index,
  ]),
)

export class StampClock {
  readonly #zone: TimeZone
  readonly #nowMs: () => number
  #lastMs: number | undefined
  #cachedStamp = ''
  #cachedMs = Number.NaN

  /**
   * @param nowMs the latest instant that a line can bear: now for a log that is being written, the time of the last change
   *   for an older file
   */
  constructor(zone: TimeZone, nowMs: () => number) {
    this.#zone = zone
    this.#nowMs = nowMs
  }

  /**
   * The instant of a traditional stamp, Unix ms; NaN when there is no such time.
   *
   * When clocks were set back, an hour appears twice: a line that seems to lie an hour before the one that was read last
   * belongs to the second.
   *
   * @param line holds the stamp from `from` to `to`: 15 characters, day padded by a blank or a zero; month names of another language mean the month that is
   */
  traditional(line: string, from = 0, to = line.length): number {
    if (to - from === this.#cachedStamp.length && line.startsWith(this.#cachedStamp, from)) return this.#cachedMs
    const stamp = line.slice(from, to)
    const instant = this.#infer(stamp)
    this.#cachedStamp = keptText(stamp, 0, stamp.length)
    this.#cachedMs = instant
    if (!Number.isNaN(instant)) this.#lastMs = instant
    return instant
  }

  #infer(stamp: string): number {
    const match = /^(\S+) +(\d{1,2}) (\d\d):(\d\d):(\d\d)$/.exec(stamp)
    if (!match) return Number.NaN
    const now = this.#nowMs()
    const today = new Date(now)
    const month = months.get(match[1]!) ?? today.getUTCMonth()
    const [day, hours, minutes, seconds] = [Number(match[2]), Number(match[3]), Number(match[4]), Number(match[5])]
    if (hours > 23 || minutes > 59 || seconds > 60) return Number.NaN
    for (let year = today.getUTCFullYear() + 1, tried = 0; tried < yearsTried; year--, tried++) {
      const midnight = Date.UTC(year, month, day)
      if (new Date(midnight).getUTCDate() !== day) continue
      const civil = midnight + ((hours * 60 + minutes) * 60 + seconds) * 1000
      const [first, second] = this.#zone.instants(civil)
      if (first > now + dayMs) continue
      const last = this.#lastMs
      if (second !== undefined && last !== undefined && first < last - hourMs / 2) return second
      return first
    }
    return Number.NaN
  }
}

/**
 * The instant of a stamp such as `2026-11-21T16:24:03.867203+00:00`, in microseconds of Unix time; NaN when it is none. The
 * zone may be `Z`, `+01:00` or `+0100`; digits past the microsecond are cut.
 */
export function isoMicros(line: string, from = 0, to = line.length): number {
  // Lines of one second share all but the fraction; lines of one log share the zone.
  if (!line.startsWith(cache.text, from) || cache.text === '') readSeconds(line, from)
  let at = from + 19
  let micros = 0
  if (line.charCodeAt(at) === 46) {
    let digits = 0
    for (at++; at < to && isDigit(line.charCodeAt(at)); at++) {
      if (digits < 6) micros = micros * 10 + line.charCodeAt(at) - 48
      digits++
    }
    for (; digits < 6; digits++) micros *= 10
  }
  if (to - at !== cache.zone.length || !line.startsWith(cache.zone, at)) readZone(line.slice(at, to))
  return (cache.seconds - cache.zoneSeconds) * 1_000_000 + micros
}

const cache = { text: '', seconds: Number.NaN, zone: 'Z', zoneSeconds: 0 }

function readSeconds(line: string, from: number): void {
  const text = keptText(line, from, from + 19)
  cache.text = text
  cache.seconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text) ? Date.parse(`${text}Z`) / 1000 : Number.NaN
}

function readZone(text: string): void {
  const match = /^(?:Z|([+-])(\d\d):?(\d\d))$/.exec(text)
  const seconds = (Number(match?.[2] ?? 0) * 60 + Number(match?.[3] ?? 0)) * 60
  cache.zone = keptText(text, 0, text.length)
  cache.zoneSeconds = match ? (match[1] === '-' ? -seconds : seconds) : Number.NaN
}

const isDigit = (code: number) => code >= 48 && code <= 57
