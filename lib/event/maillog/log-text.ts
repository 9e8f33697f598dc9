/** Text of a log as lines. */
import { lineBytesMax } from './log-source.ts'

/**
 * Calls `take` with each line, without its end. NULs before a line (a hole that a crash left) are no part of it; what is
 * longer than 64 KiB is cut there.
 * @param text latin1
 * @param take told also where in the text the line ends, behind its line end, and how many lines that makes
 */
export function eachLine(text: string, take: (line: string, whole: boolean, end: number, lines: number) => void): void {
  let from = 0
  let lines = 0
  while (from < text.length) {
    let end = text.indexOf('\n', from)
    const whole = end !== -1
    if (!whole) end = text.length
    while (from < end && text.charCodeAt(from) === 0) from++
    lines++
    if (from < end) take(text.slice(from, Math.min(end, from + lineBytesMax)), whole, end + 1, lines)
    from = end + 1
  }
}
