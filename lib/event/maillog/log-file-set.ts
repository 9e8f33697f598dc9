/** A log and what it was rotated into, as files that follow one another; and where in them a place is. */
import { stat } from 'node:fs/promises'
import {
  beginsWith,
  DamagedFile,
  headBytesMax,
  headOf,
  identityOf,
  openLogFile,
  sameFile,
  type FilePosition,
  type LogFile,
} from './log-file.ts'
import { rotatedFiles } from './rotated-files.ts'

export interface ListedFile {
  readonly path: string
  readonly identity: Pick<FilePosition, 'dev' | 'ino' | 'birth'>
  readonly modifiedMs: number
  readonly size: number
}

/** A file to go to, and where in it. */
export interface Choice {
  readonly file: ListedFile
  readonly offset: number
}

/** File systems stamp with a clock that steps. */
const clockStepMs = 50
/** Names that move while they are looked at are looked at again. */
const triesMax = 5

export class LogFileSet {
  /** The log, by the name that it is written under. */
  readonly path: string
  readonly #look: (path: string) => Promise<ListedFile[]>

  /** @param look what one look sees: names that change hands meanwhile are seen under both, or under none */
  constructor(path: string, look: (path: string) => Promise<ListedFile[]> = lookOnce) {
    this.path = path
    this.#look = look
  }

  /**
   * Oldest first; the log itself, when it is there, last. Looked at until two looks agree: while names move on, one look
   * can miss a file between the name that it had and the one that it gets.
   */
  async list(): Promise<ListedFile[]> {
    let listed = await this.#look(this.path)
    for (let tries = 0; tries < triesMax; tries++) {
      const again = await this.#look(this.path)
      if (layoutOf(again) === layoutOf(listed)) return again
      listed = again
    }
    return listed
  }

  /** Where in a list the file of a place is, whatever it is called by now; -1 when it is gone. */
  async locate(list: readonly ListedFile[], place: FilePosition): Promise<number> {
    let copy = -1
    // Newest first: after copytruncate the copy that was made last is the one.
    for (let index = list.length - 1; index >= 0; index--) {
      const { path, identity } = list[index]!
      const same = sameFile(identity, place)
      if (!same && place.head.bytes === 0) continue
      const answer = await beginsWith(path, place.head, place.offset)
      // Its own file is not taken for another because it can't be read at the moment.
      if (same && answer !== 'no') return index
      if (answer !== 'yes') continue
      if (copy === -1) copy = index
    }
    return copy
  }

  /**
   * The file to go on with after a place: its own, or the next one where its own ends before it. That happens to a copy
   * (copytruncate) when lines were read that came after it was made. Undefined when its file is gone.
   */
  async onward(list: readonly ListedFile[], place: FilePosition): Promise<{ choice: Choice | undefined } | undefined> {
    const index = await this.locate(list, place)
    if (index !== -1) return { choice: { file: list[index]!, offset: place.offset } }
    const ended = place.head.bytes === 0 ? -1 : await this.locate(list, { ...place, offset: place.head.bytes })
    if (ended === -1) return undefined
    const next = list[ended + 1]
    return { choice: next && { file: next, offset: 0 } }
  }

  /** The files that changed since. */
  changedSince(list: readonly ListedFile[], atMs: number): ListedFile[] {
    return list.filter(file => file.modifiedMs >= atMs - clockStepMs)
  }

  /** The end of a file as it is, its beginning where nothing in it can be unpacked; undefined when it can't be read. */
  async endOf(path: string, nowMs: number): Promise<FilePosition | undefined> {
    let file
    try {
      file = await openLogFile(path)
      const size = (await file.size()) ?? 0
      const head = Buffer.alloc(file.compressed ? headBytesMax : Math.min(size, headBytesMax))
      const length = await file.read(head, 0).catch((error: unknown) => {
        if (error instanceof DamagedFile) return 0
        throw error
      })
      return { ...file.identity, head: headOf(head.subarray(0, length)), offset: size, at: nowMs }
    } catch {
      return undefined
    } finally {
      await file?.close().catch(() => undefined)
    }
  }

  /**
   * Opens the file that `choose` chooses. Between listing and opening it may have been rotated on: then it is chosen anew.
   * @param choose undefined: there is none yet
   * @throws Error of the file system
   */
  async open(
    choose: (list: readonly ListedFile[]) => Promise<Choice | undefined>,
  ): Promise<{ file: LogFile; offset: number } | undefined> {
    for (let tries = 0; tries < triesMax; tries++) {
      const choice = await choose(await this.list())
      if (!choice) return undefined
      let file
      try {
        file = await openLogFile(choice.file.path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
        throw error
      }
      if (sameFile(file.identity, choice.file.identity)) return { file, offset: choice.offset }
      await file.close()
    }
    return undefined
  }
}

/** Which file bears which name. */
export function layoutOf(list: readonly ListedFile[]): string {
  return list.map(({ path, identity }) => `${path} ${identity.ino} ${identity.birth}`).join('\n')
}

async function lookOnce(log: string): Promise<ListedFile[]> {
  const paths = [...(await rotatedFiles(log)).map(file => file.path), log]
  const listed: ListedFile[] = []
  for (const path of paths) {
    const stats = await stat(path, { bigint: true }).catch(() => undefined)
    if (!stats) continue
    listed.push({
      path,
      identity: identityOf(stats),
      modifiedMs: Number(stats.mtimeNs) / 1e6,
      size: Number(stats.size),
    })
  }
  return listed
}
