/**
 * The instants that the stamps of log lines mean. A traditional stamp, `Feb  9 13:00:05`, has neither year nor zone: both
 * are inferred, the year from when the file was last written, the zone from the setting or this machine.
 */
import { lineTextCopy } from './line-text.ts'
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
    this.#cachedStamp = lineTextCopy(stamp, 0, stamp.length)
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
  const minute = minuteStart(line, from)
  const seconds = twoDigits(line, from + 17)
  if (line.charCodeAt(from + 16) !== 58 || !(seconds <= 60)) return Number.NaN
  let at = from + 19
  let micros = 0
  if (line.charCodeAt(at) === 46) {
    at++
    const last = Math.min(to, at + 6)
    let places = 6
    for (let digit = line.charCodeAt(at) - 48; at < last && digit >= 0 && digit <= 9; places--) {
      micros = 10 * micros + digit
      digit = line.charCodeAt(++at) - 48
    }
    micros *= powersOf10[places]!
    while (at < to && line.charCodeAt(at) >= 48 && line.charCodeAt(at) <= 57) at++
  }
  return (minute + seconds - zoneSeconds(line, at, to)) * 1_000_000 + micros
}

const powersOf10 = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000] as const

/** Lines share their minute with the one before, and their zone. What is none stands for the first. */
const cache = { minute: 'none', minuteSeconds: Number.NaN, zone: 'none', zoneSeconds: Number.NaN }

/** Unix seconds of the minute (UTC) that begins `2026-11-21T16:24`; NaN when there is no such minute. */
function minuteStart(line: string, from: number): number {
  if (line.startsWith(cache.minute, from)) return cache.minuteSeconds
  const seconds = readMinute(line, from)
  if (!Number.isNaN(seconds)) {
    cache.minute = lineTextCopy(line, from, from + 16)
    cache.minuteSeconds = seconds
  }
  return seconds
}

function readMinute(line: string, from: number): number {
  const year = twoDigits(line, from) * 100 + twoDigits(line, from + 2)
  const month = twoDigits(line, from + 5)
  const day = twoDigits(line, from + 8)
  const hours = twoDigits(line, from + 11)
  const minutes = twoDigits(line, from + 14)
  if (
    line.charCodeAt(from + 4) !== 45 ||
    line.charCodeAt(from + 7) !== 45 ||
    line.charCodeAt(from + 10) !== 84 ||
    line.charCodeAt(from + 13) !== 58 ||
    !(hours <= 23 && minutes <= 59)
  )
    return Number.NaN
  const midnight = new Date(Date.UTC(year, month - 1, day))
  const exists = midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === day
  return exists ? midnight.getTime() / 1000 + hours * 3600 + minutes * 60 : Number.NaN
}

function zoneSeconds(line: string, from: number, to: number): number {
  if (to - from === cache.zone.length && line.startsWith(cache.zone, from)) return cache.zoneSeconds
  const match = /^(?:Z|([+-])(\d\d):?(\d\d))$/.exec(line.slice(from, to))
  const seconds = (Number(match?.[2] ?? 0) * 60 + Number(match?.[3] ?? 0)) * 60
  cache.zone = lineTextCopy(line, from, to)
  cache.zoneSeconds = match ? (match[1] === '-' ? -seconds : seconds) : Number.NaN
  return cache.zoneSeconds
}

/** NaN for anything else. */
function twoDigits(line: string, at: number): number {
  const tens = line.charCodeAt(at) - 48
  const ones = line.charCodeAt(at + 1) - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}
