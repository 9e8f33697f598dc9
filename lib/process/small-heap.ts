/**
 * Keeps V8's heap close to what is alive in it. To be called before the rest is loaded.
 *
 * What is read by a process that follows a log or a pipe dies young. V8 is made for the opposite: it lets the space where
 * objects are born grow (to 32 or 64 MiB) by how much survives in it over time, which in the end is always enough; and it
 * lets garbage of tens of megabytes, and of as many of buffers, come together before it collects that of what has survived
 * for a while. What is set here is asked each time that V8 thinks of growing, so it may be set while it runs.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

export interface SmallHeap {
  /**
   * Percent that all but the youngest may grow by between two collections. A collection takes 20 ms; at 10 they cost a
   * tenth of the CPU time of a process that is busy.
   */
  readonly growthPercent: number
  /**
   * V8 lets no less than 8 MiB come together, whatever `growthPercent` says: so many percent of that (or of what it lets
   * come together) until it begins to look for garbage. By default 100.
   */
  readonly triggerPercent?: number
  /** Buffers count as part of it. */
  readonly withBuffers?: boolean
  /**
   * MiB of the space where objects are born, which is there twice: 1 (the default) or 2. Where more than 1 is in use at a
   * time, what is about to die is moved to the old, and collecting it there takes memory and time.
   */
  readonly nurseryMb?: 1 | 2
}

export function keepHeapSmall(heap: SmallHeap): void {
  const { growthPercent, triggerPercent = 100, withBuffers = false, nurseryMb = 1 } = heap
  // It begins with 1 MiB; `--max-semi-space-size` may not be set any more.
  growNursery(nurseryMb)
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`)
  if (triggerPercent < 100) setFlagsFromString(`--incremental-marking-hard-trigger=${triggerPercent}`)
  // Versions of V8 that do not know the flag would print an error.
  if (withBuffers && Number.parseInt(process.versions.v8) >= 14)
    setFlagsFromString('--external-memory-accounted-in-global-limit')
}

/** V8 doubles it once that much has survived in it: here what is let go of at once. Gives up after 8 MB. */
function growNursery(mb: number): void {
  const survivors: unknown[] = []
  while (nurseryMbNow() < mb && survivors.length < 2_000) {
    if (survivors.length === 0) setFlagsFromString('--semi-space-growth-factor=2')
    survivors.push(Array.from({ length: 500 }, () => 0))
  }
}

/** Whole MiB: without what V8 keeps of each page for itself. */
function nurseryMbNow(): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
  return space === undefined ? Infinity : Math.round((space.space_used_size + space.space_available_size) / 2 ** 20)
}
