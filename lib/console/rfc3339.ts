/** Internet timestamps. */

const form = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))$/

/**
 * Unix time in milliseconds of an RFC 3339 timestamp; undefined for any other text, also for days that the calendar
 * does not have. A leap second counts as the second before it.
 */
export function parseRfc3339(text: string): number | undefined {
  if (text.length > 64) return undefined
  const match = form.exec(text)
  if (!match) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Six
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)]
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  const fractionMs = Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000)
  const offsetMs = (offsetHour * 60 + offsetMinute) * 60_000 * (match[8] === '-' ? -1 : 1)
  return date.getTime() + ((hour * 60 + minute) * 60 + Math.min(second, 59)) * 1000 + fractionMs - offsetMs
}

type Six = [number, number, number, number, number, number]
