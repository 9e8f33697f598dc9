const seconds = /^\d{9,11}$/
const date = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[+-]\d\d:?\d\d|Z)$/

/**
 * Times in accounting records: `YYYY-MM-DD HH:MM:SS±zzzz`, or Unix seconds.
 * @returns Unix ms; undefined for anything else
 */
export function accountingTime(text: string): number | undefined {
  if (!date.test(text)) return seconds.test(text) ? Number(text) * 1000 : undefined
  // Digits are read where they stand: to have them matched apart costs as much as parsing the whole row.
  const year = 100 * twoDigits(text, 0) + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined
  return Date.UTC(year, month - 1, day, hour, minute, second) - zoneMinutes(text) * 60_000
}

/** The time zone at the end, in minutes east of Greenwich. */
function zoneMinutes(text: string): number {
  const end = text.length
  if (text[end - 1] === 'Z') return 0
  const hoursAt = end - (text[end - 3] === ':' ? 5 : 4)
  const minutes = 60 * twoDigits(text, hoursAt) + twoDigits(text, end - 2)
  return text[hoursAt - 1] === '-' ? -minutes : minutes
}

function twoDigits(text: string, at: number): number {
  return 10 * (text.charCodeAt(at) - 48) + text.charCodeAt(at + 1) - 48
}
