/**
 * Times in accounting records: `YYYY-MM-DD HH:MM:SS±zzzz`, or Unix seconds.
 * @returns Unix ms; undefined for anything else
 */
export function accountingTime(text: string): number | undefined {
  if (/^\d{9,11}$/.test(text)) return Number(text) * 1000
  const match = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.\d{1,6})?(?:([+-])(\d\d):?(\d\d)|Z)$/.exec(text)
  if (!match) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number)
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined
  const offset = (match[7] === '-' ? -1 : 1) * (Number(match[8] ?? 0) * 60 + Number(match[9] ?? 0))
  return Date.UTC(year, month - 1, day, hour, minute, second) - offset * 60_000
}
