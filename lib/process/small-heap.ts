/**
 * Keeps V8's heap close to what is alive in it. To be called before the rest is loaded.
 *
 * What is read by a process that follows a log or a pipe dies young. V8 is made for the opposite: it lets the space where
 * objects are born grow (to 32 or 64 MiB) by how much survives in it over time, which in the end is always enough; and it
 * lets garbage of tens of megabytes, and of as many of buffers, come together before it collects that of what has survived
 * for a while. What is set here is asked each time that V8 thinks of growing, so it may be set while it runs.
 */
import { setFlagsFromString } from 'node:v8'

export interface SmallHeap {
  /**
   * Percent that all but the youngest may grow by between two collections. A collection takes 20 ms; at 10 they cost a
   * tenth of the CPU time of a process that is busy.
   */
  readonly growthPercent: number
  /** Buffers count as part of it. */
  readonly withBuffers?: boolean
}

export function keepHeapSmall({ growthPercent, withBuffers = false }: SmallHeap): void {
  // 1 MiB twice, as it begins; `--max-semi-space-size` may not be set any more.
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`)
  // Versions of V8 that do not know the flag would print an error.
  if (withBuffers && Number.parseInt(process.versions.v8) >= 14)
    setFlagsFromString('--external-memory-accounted-in-global-limit')
}
