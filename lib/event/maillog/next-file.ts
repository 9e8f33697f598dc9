/**
 * Which file of a log comes next. What follows is decided when it is opened, on a list of that moment: names change hands
 * while others are read.
 */
import { sameFile, type FilePosition } from './log-file.ts'
import { layoutOf, type Choice, type ListedFile, type LogFileSet } from './log-file-set.ts'

/** Gives the file to go on with; undefined when it is not there yet, or nobody can tell at the moment. */
export type Choose = (list: readonly ListedFile[]) => Promise<Choice | undefined>

/** A rotation makes the new log first and removes the oldest file afterwards; clocks of file systems step. */
const rotationMs = 1_000

/** What is asked of the files of a log. */
export type SearchedFiles = Pick<LogFileSet, 'path' | 'locate' | 'onward' | 'changedSince'>

export class NextFile {
  readonly #files: SearchedFiles
  readonly #lost: (reason: string) => void

  /** @param lost told of lines that are gone or may be, once for each */
  constructor(files: SearchedFiles, lost: (reason: string) => void) {
    this.#files = files
    this.#lost = lost
  }

  /** The oldest that was changed since. */
  oldestSince(atMs: number): Choose {
    return async list => beginningOf(this.#files.changedSince(list, atMs)[0])
  }

  /**
   * The file of a place. When it is gone, the oldest of those that are newer, which is a gap.
   * @param onGone called before that
   */
  at(place: FilePosition, onGone: () => void): Choose {
    const gone = 'the file that was read last is gone: it was rotated away while nobody read it'
    return this.#onward(place, gone, list => {
      onGone()
      return this.#files.changedSince(list, place.at)[0]
    })
  }

  /**
   * The file that follows one that was read to its end.
   * @param modifiedMs when that one was changed last: what follows it was changed later
   * @param removedMs when its name was taken away, in case it is gone
   * @param before the rotation before it, in case it was empty and is gone
   */
  after(place: FilePosition, modifiedMs: number, removedMs: number, before: FilePosition | undefined): Choose {
    const isGone = goneTwice()
    const lost = this.#once()
    return async list => {
      const index = await this.#files.locate(list, { ...place, offset: place.head.bytes })
      if (index !== -1) return beginningOf(list[index + 1])
      if (!isGone(list)) return undefined
      // Files go oldest first: what followed it was there when it went, and went after it only in a later rotation.
      const newest = list.at(-1)
      if (newest && birthMs(newest) > removedMs + rotationMs)
        lost('the file that was read is gone, and the log was rotated since: what came between may be gone too')
      if (place.offset === 0) {
        // It was empty and is gone: on with what follows the one before it.
        const previous = before ? await this.#files.locate(list, { ...before, offset: 0 }) : -1
        return beginningOf(list[previous + 1])
      }
      return beginningOf(this.#files.changedSince(list, modifiedMs)[0] ?? this.#log(list))
    }
  }

  /** The log whose content was replaced: the copy that was made of it, else the oldest that was made since. */
  copyOf(place: FilePosition, modifiedMs: number): Choose {
    const gone = 'it was truncated and there is no copy of it: what was written before that may be gone'
    return this.#onward(place, gone, list => this.#files.changedSince(list, modifiedMs)[0] ?? this.#log(list))
  }

  /** The oldest rotation that is newer than `before`, else the log. */
  firstRotationAfter(before: FilePosition | undefined): Choose {
    return async list => beginningOf((await this.rotationsAfter(list, before)).newer[0] ?? this.#log(list))
  }

  /** The rotations that are newer than `before`: all where that one is gone, or there was none. */
  async rotationsAfter(
    list: readonly ListedFile[],
    before: FilePosition | undefined,
  ): Promise<{ newer: readonly ListedFile[]; isBeforeGone: boolean }> {
    const rotations = list.filter(file => file.path !== this.#files.path)
    const index = before ? await this.#files.locate(rotations, { ...before, offset: 0 }) : -1
    return { newer: rotations.slice(index + 1), isBeforeGone: before !== undefined && index === -1 }
  }

  /**
   * On from a place in its file or in a copy of it.
   * @param gone said when there is neither
   * @param otherwise the file to go to then
   */
  #onward(
    place: FilePosition,
    gone: string,
    otherwise: (list: readonly ListedFile[]) => ListedFile | undefined,
  ): Choose {
    const isGone = goneTwice()
    const lost = this.#once()
    return async list => {
      const found = await this.#files.onward(list, place)
      if (found) return found.choice
      if (!isGone(list)) return undefined
      lost(gone)
      return beginningOf(otherwise(list))
    }
  }

  #log(list: readonly ListedFile[]): ListedFile | undefined {
    return list.find(file => file.path === this.#files.path)
  }

  #once(): (reason: string) => void {
    let isTold = false
    return reason => {
      if (!isTold) this.#lost(reason)
      isTold = true
    }
  }
}

/** The file of a list that an open one is. */
export function listedAs(
  list: readonly ListedFile[],
  identity: Pick<FilePosition, 'dev' | 'ino' | 'birth'>,
): ListedFile | undefined {
  return list.find(file => sameFile(file.identity, identity))
}

/**
 * Whether a file that is not in a list is gone: it was not in the one before either, and nothing has moved meanwhile. A
 * file that is being renamed or compressed just now can be missed once.
 */
function goneTwice(): (list: readonly ListedFile[]) => boolean {
  let before = ''
  return list => {
    const now = layoutOf(list)
    const isGone = now === before
    before = now
    return isGone
  }
}

/** Unix ms; 0 where the file system does not tell. */
function birthMs(file: ListedFile): number {
  return Number(file.identity.birth) / 1e6
}

export function beginningOf(file: ListedFile | undefined): Choice | undefined {
  return file && { file, offset: 0 }
}
