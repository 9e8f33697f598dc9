/**
 * Whether a log was filled, copied away and truncated before anything of it was read. Nothing in the log itself shows that,
 * only that there is a rotation more than when nothing was in it.
 */
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { FilePosition, LogFile } from './log-file.ts'
import type { LogFileSet } from './log-file-set.ts'
import { listedAs, type Choose, type NextFile } from './next-file.ts'

/** Between two looks that are no further apart, ms, the log is rotated once at most. */
const lookMs = 2_000

export class UnreadCopies {
  readonly #files: LogFileSet
  readonly #next: NextFile
  readonly #nowMs: () => number
  readonly #monotonicMs: () => number
  /** The newest rotation when nothing was in the log yet; undefined when there was none. */
  #before: FilePosition | undefined
  /** When that was looked for last, by the clock that is never set; and when the folder had been changed last by then. */
  #lookedMs = 0
  #folderChanged = ''

  constructor(files: LogFileSet, next: NextFile, nowMs: () => number, monotonicMs: () => number) {
    this.#files = files
    this.#next = next
    this.#nowMs = nowMs
    this.#monotonicMs = monotonicMs
  }

  /** The newest rotation when nothing was in the log yet. */
  get before(): FilePosition | undefined {
    return this.#before
  }

  /** Remembers what rotations there are: called while nothing is in the log. */
  async look(): Promise<void> {
    this.#lookedMs = this.#monotonicMs()
    this.#folderChanged = await this.#folderChange()
    const newest = (await this.#files.list()).findLast(file => file.path !== this.#files.path)
    this.#before = newest && (await this.#files.endOf(newest.path, this.#nowMs()))
  }

  /**
   * Where to go first; undefined to go on with the log.
   * @param log the open log, of which nothing was read
   * @param isFilled whether there is something in it by now
   * @param lost told when a copy may be gone already
   */
  async find(log: LogFile, isFilled: boolean, lost: (reason: string) => void): Promise<Choose | undefined> {
    const sinceLookMs = this.#monotonicMs() - this.#lookedMs
    if (!isFilled && this.#folderChanged === (await this.#folderChange())) {
      this.#lookedMs += sinceLookMs
      return undefined
    }
    const list = await this.#files.list()
    // Renamed meanwhile: it will be found to have been.
    if (listedAs(list, log.identity)?.path !== this.#files.path) return undefined
    const before = this.#before
    const { newer, isBeforeGone } = await this.#next.rotationsAfter(list, before)
    if (newer.length === 0) return undefined
    const isLookedAt = sinceLookMs <= lookMs
    if (isLookedAt && (await this.#areEmpty(newer.map(({ path }) => path)))) {
      if (!isFilled) await this.look()
      return undefined
    }
    // Where that one is gone, none of those that are there was there before: one rotation may have removed it, or several.
    if (isBeforeGone && !isLookedAt)
      lost('it was copied away and truncated more than once before it was read: what came first may be gone')
    return this.#next.firstRotationAfter(before)
  }

  async #areEmpty(paths: readonly string[]): Promise<boolean> {
    for (const path of paths) if ((await this.#files.endOf(path, this.#nowMs()))?.head.bytes !== 0) return false
    return true
  }

  /** Changes when a name in the log's folder comes, goes or changes. */
  async #folderChange(): Promise<string> {
    const stats = await stat(dirname(this.#files.path), { bigint: true }).catch(() => undefined)
    return String(stats?.mtimeNs)
  }
}
