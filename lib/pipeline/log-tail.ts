/** What the log of a process says last. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'

const tailBytes = 4_096

/** Bytes in a file; 0 when there is none. */
export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

/** The reason in the last line behind `from` bytes; undefined when nothing was written since. */
export function lastReason(file: string, from: number): string | undefined {
  let tail: string
  try {
    const size = sizeOf(file)
    // Shorter than it was: a new file, or one that was emptied.
    const start = Math.max(size < from ? 0 : from, size - tailBytes)
    const bytes = Buffer.alloc(size - start)
    const fd = openSync(file, 'r')
    readSync(fd, bytes, 0, bytes.length, start)
    closeSync(fd)
    tail = bytes.toString('utf8')
  } catch {
    return undefined
  }
  const last = tail.trimEnd().split('\n').at(-1) ?? ''
  try {
    const line = JSON.parse(last) as { reason?: string; msg?: string; err?: { message?: string } }
    return line.reason ?? line.err?.message ?? line.msg
  } catch {
    return last.slice(0, 300) || undefined
  }
}
