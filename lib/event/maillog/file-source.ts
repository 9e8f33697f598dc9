/**
 * Follows a log file through every kind of rotation, from where it was left.
 *
 * What holds:
 * - only complete lines leave it, and a position is always the end of a complete line;
 * - a file is known by device, inode, birth time and its first 1024 bytes, never by its name alone;
 * - a file that was renamed is read to its end, and for as long as the logger may still write to it;
 * - after a truncation, what was copied away before is read from the copy;
 * - files that were rotated meanwhile are found and read first, oldest first; what is gone is reported as a gap;
 * - which file comes next is decided when it is opened: names change hands while others are read.
 */
import { stat } from 'node:fs/promises'
import { beginsWith, headBytesMax, headOf, identityOf, sameFile, type FilePosition, type LogFile } from './log-file.ts'
import { layoutOf, LogFileSet, type Choice, type ListedFile } from './log-file-set.ts'
import {
  lineBytesMax,
  type LogChunk,
  type LogSource,
  type Resume,
  type SourceEvents,
  type SourcePosition,
} from './log-source.ts'

export interface FileSourceOptions {
  readonly path: string
  /** How long after a rotation the old file is still read, ms: the logger writes to it until it is told. */
  readonly rotateWaitMs: number
  /** Without anything to resume: report what the files hold already. Otherwise they only teach the map. */
  readonly fromBeginning: boolean
  readonly events: SourceEvents
  readonly nowMs?: () => number
  /** Time that is never set, ms from any moment. */
  readonly monotonicMs?: () => number
}

/** Small enough for its text to be garbage at once (V8 moves larger strings to where it seldom looks). */
const chunkBytes = 96 * 1024
const troubleAfterMs = 60_000
/** A rotation makes the new log first and removes the oldest file afterwards; clocks of file systems step. */
const rotationMs = 1_000

/** The place in a log that was not there when it was looked for first. */
interface Absent {
  readonly absentAt: number
}

type Choose = (list: readonly ListedFile[]) => Promise<Choice | undefined>

export class FileSource implements LogSource {
  readonly id: string
  readonly ended = false
  start?: SourcePosition
  readonly #options: FileSourceOptions
  readonly #files: LogFileSet
  readonly #nowMs: () => number
  readonly #monotonicMs: () => number
  readonly #buffer = Buffer.allocUnsafeSlow(chunkBytes)
  #file: LogFile | undefined
  /** Finds the file to go on with, while there is none. */
  #choose: Choose = async () => undefined
  /** The first bytes of the file, as many as have been read of it, at most 1024. */
  #head = Buffer.alloc(0)
  #offset = 0
  /** In the middle of a line that is too long: everything to its end is left out. */
  #skippingTo: number | undefined
  /** Lines up to here only teach the map. */
  #replayed: FilePosition | undefined
  /** That place is in the file being read. */
  #replayEndsHere = false
  #lines = 0
  /** By the clock that is never set. */
  #rotatedSinceMs: number | undefined
  /** When the file was changed last by the time its content was last found to be the same, Unix ms. */
  #seenModifiedMs = 0
  /** The newest rotation when the log was opened at its beginning; undefined when there was none. */
  #rotationBefore: FilePosition | undefined

  private constructor(options: FileSourceOptions) {
    this.id = options.path
    this.#options = options
    this.#files = new LogFileSet(options.path)
    this.#nowMs = options.nowMs ?? Date.now
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
  }

  /** Finds the place to go on at; waits for the file when it is not there. */
  static async open(options: FileSourceOptions, resume: Resume): Promise<FileSource> {
    const source = new FileSource(options)
    await source.#begin(resume)
    await source.#openNext()
    return source
  }

  async next(): Promise<LogChunk | undefined> {
    if (!this.#file && !(await this.#openNext())) return undefined
    const file = this.#file!
    const start = this.#skippingTo ?? this.#offset
    let length: number
    try {
      length = await file.read(this.#limited(start), start)
      if (!(await this.#isSameContent(file))) return await this.#truncated()
      if (length > 0 && this.#offset === 0 && this.#isLog(file) && (await this.#wasCopiedAway())) return undefined
    } catch (error) {
      this.#options.events.gap(this.id, `${file.path}: ${(error as Error).message}`)
      await this.#leave()
      return undefined
    }
    const lines = this.#lines
    const chunk = this.#cut(length)
    if (chunk !== undefined) return { ...(await this.#deliver(chunk)), ...this.#within(chunk, start, lines) }
    if (this.#skippingTo !== undefined && length > 0) return undefined
    return this.#atEnd(length)
  }

  async lagBytes(): Promise<number> {
    const size = await this.#file?.size().catch(() => undefined)
    let sum = size === undefined ? 0 : Math.max(0, size - this.#offset)
    const list = await this.#files.list()
    const { identity } = this.#file ?? {}
    const index = identity ? list.findIndex(listed => sameFile(listed.identity, identity)) : -1
    if (index !== -1) for (const listed of list.slice(index + 1)) sum += listed.size
    return sum
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  // ── which file ──

  async #begin({ from, through, damaged }: Resume): Promise<void> {
    const { fromBeginning } = this.#options
    this.#lines = (from ?? through)?.lines ?? 0
    const startedMs = this.#nowMs()
    if (from === undefined && through === undefined && !damaged && !fromBeginning) {
      const log = await this.#files.endOf(this.#options.path, startedMs)
      this.#replayed = log
      this.start = { lines: 0, place: log ?? { absentAt: startedMs } }
      // Its own lines teach the map; when it is not there, whatever comes is new.
      this.#choose = log ? this.#at({ ...log, offset: 0 }) : this.#oldestSince(startedMs)
      return
    }
    const end = through?.place as FilePosition | Absent | undefined
    if (end && 'absentAt' in end) {
      // There was no log when it began: all that came since is new.
      this.#choose = this.#oldestSince(end.absentAt)
      return
    }
    // Where nobody can tell any more what was taken over, it is taken over again: rather twice than never.
    if (end && (await this.#files.locate(await this.#files.list(), end)) !== -1) this.#replayed = end
    const place = from?.place as FilePosition | undefined
    // Without a map everything that is still there makes it.
    this.#choose = place ? this.#at(place) : async list => beginningOf(list[0])
  }

  #oldestSince(atMs: number): Choose {
    return async list => beginningOf(this.#files.changedSince(list, atMs)[0])
  }

  /** The file of a place. When it is gone, the oldest of those that are newer, which is a gap. */
  #at(place: FilePosition): Choose {
    const isGone = this.#goneTwice()
    let isReported = false
    return async list => {
      const found = await this.#files.onward(list, place)
      if (found) return found.choice
      if (!isGone(list)) return undefined
      // What nobody can find can't tell either where the events of before ended.
      this.#replayed = undefined
      if (!isReported)
        this.#options.events.gap(
          this.id,
          'the file that was read last is gone: it was rotated away while nobody read it',
        )
      isReported = true
      return beginningOf(this.#files.changedSince(list, place.at)[0])
    }
  }

  /**
   * The file that follows one that was read to its end.
   * @param modifiedMs when that one was changed last: what follows it was changed later
   * @param removedMs when its name was taken away, in case it is gone
   */
  #after(place: FilePosition, modifiedMs: number, removedMs: number): Choose {
    const before = this.#rotationBefore
    const isGone = this.#goneTwice()
    return async list => {
      const index = await this.#files.locate(list, { ...place, offset: place.head.bytes })
      if (index !== -1) return beginningOf(list[index + 1])
      if (!isGone(list)) return undefined
      // Files go oldest first: what followed it was there when it went, and went after it only in a later rotation.
      const newest = list.at(-1)
      if (newest && birthMs(newest) > removedMs + rotationMs)
        this.#lost('the file that was read is gone, and the log was rotated since: what came between may be gone too')
      if (place.offset === 0) {
        // It was empty and is gone: on with what follows the one before it.
        const previous = before ? await this.#files.locate(list, { ...before, offset: 0 }) : -1
        return beginningOf(list[previous + 1])
      }
      return beginningOf(this.#files.changedSince(list, modifiedMs)[0] ?? this.#log(list))
    }
  }

  /** The log whose content was replaced: the copy that was made of it, else the oldest that was made since. */
  #copyOf(place: FilePosition, modifiedMs: number): Choose {
    const isGone = this.#goneTwice()
    return async list => {
      const found = await this.#files.onward(list, place)
      if (found) return found.choice
      if (!isGone(list)) return undefined
      this.#lost('it was truncated and there is no copy of it: what was written before that may be gone')
      return beginningOf(this.#files.changedSince(list, modifiedMs)[0] ?? this.#log(list))
    }
  }

  #lost(reason: string): void {
    this.#options.events.gap(this.id, reason)
  }

  /**
   * Whether a file that is not in a list is gone: it was not in the one before either, and nothing has moved meanwhile. A
   * file that is being renamed or compressed just now can be missed once.
   */
  #goneTwice(): (list: readonly ListedFile[]) => boolean {
    let before = ''
    return list => {
      const now = layoutOf(list)
      const isGone = now === before
      before = now
      return isGone
    }
  }

  async #openNext(): Promise<boolean> {
    let opened
    try {
      opened = await this.#files.open(this.#choose)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const reason = `it can't be read (${code}): the agent's user needs to be in the group that may (Debian: adm)`
      this.#options.events.trouble(this.id, reason)
      return false
    }
    if (!opened) {
      if (!(await this.#isThere()))
        this.#options.events.trouble(this.id, 'it is not there: check --log-path, and that the MTA logs to a file')
      return false
    }
    const { file, offset } = opened
    this.#file = file
    this.#offset = offset
    this.#skippingTo = undefined
    this.#rotatedSinceMs = undefined
    this.#seenModifiedMs = await file.modifiedMs().catch(() => 0)
    const head = Buffer.alloc(Math.min(offset, headBytesMax))
    this.#head = head.length === 0 ? head : head.subarray(0, await file.read(head, 0).catch(() => 0))
    await this.#placeReplay(file)
    this.#rotationBefore = this.#isLog(file) && offset === 0 ? await this.#newestRotation() : undefined
    if (this.#isLog(file)) this.#options.events.trouble(this.id, undefined)
    return true
  }

  async #isThere(): Promise<boolean> {
    return (await stat(this.#options.path).catch(() => undefined)) !== undefined
  }

  #isLog(file: LogFile): boolean {
    return file.path === this.#options.path
  }

  #log(list: readonly ListedFile[]): ListedFile | undefined {
    return list.find(file => file.path === this.#options.path)
  }

  async #newestRotation(): Promise<FilePosition | undefined> {
    const newest = (await this.#files.list()).findLast(file => file.path !== this.#options.path)
    return newest && (await this.#files.endOf(newest.path, this.#nowMs()))
  }

  /**
   * Whether the log was filled, copied away and truncated before anything of it was read: then nothing in itself shows
   * it, only that there is a rotation more. Goes there first.
   */
  async #wasCopiedAway(): Promise<boolean> {
    const before = this.#rotationBefore
    const newerRotations = async (list: readonly ListedFile[]) => {
      const rotations = list.filter(file => file.path !== this.#options.path)
      const index = before ? await this.#files.locate(rotations, { ...before, offset: 0 }) : -1
      // Where that one is gone, none of those that are there was there before.
      return rotations.slice(index + 1)
    }
    const list = await this.#files.list()
    const log = this.#log(list)
    // Renamed meanwhile: it will be found to have been.
    if (!log || !sameFile(log.identity, this.#file!.identity)) return false
    if ((await newerRotations(list)).length === 0) return false
    if (before && (await this.#files.locate(list, { ...before, offset: 0 })) === -1)
      this.#lost('it was copied away and truncated more than once before it was read: what came first may be gone')
    await this.close()
    this.#choose = async current => beginningOf((await newerRotations(current))[0] ?? this.#log(current))
    return true
  }

  // ── reading ──

  /** No further than to where the replay ends, so that a chunk is either replayed or new. */
  #limited(start: number): Buffer {
    const end = this.#replayEnd()
    return end !== undefined && end > start && end - start < chunkBytes
      ? this.#buffer.subarray(0, end - start)
      : this.#buffer
  }

  /** The offset in this file up to which lines only teach the map; undefined when it is not in this file. */
  #replayEnd(): number | undefined {
    return this.#replayEndsHere ? this.#replayed?.offset : undefined
  }

  async #placeReplay(file: LogFile): Promise<void> {
    const place = this.#replayed
    this.#replayEndsHere = false
    if (!place) return
    const { head, offset } = place
    this.#replayEndsHere =
      (sameFile(file.identity, place) || head.bytes > 0) && (await beginsWith(file.path, head, offset))
    // The log itself is the newest of all: what is not in it lies behind.
    if (this.#isLog(file) && !this.#replayEndsHere) this.#replayed = undefined
  }

  /** A log that was truncated and has grown past the old place again shows only in how it begins. */
  async #isSameContent(file: LogFile): Promise<boolean> {
    if (file.compressed) return true
    // Asked before the content is looked at: it may be replaced meanwhile.
    const modifiedMs = await file.modifiedMs()
    const size = await file.size()
    if (size !== undefined && size < this.#offset) return false
    if (this.#head.length > 0) {
      const now = Buffer.alloc(this.#head.length)
      const length = await file.read(now, 0)
      if (length !== now.length || !now.equals(this.#head)) return false
    }
    this.#seenModifiedMs = modifiedMs
    return true
  }

  /** Takes the complete lines out of what was read. */
  #cut(length: number): string | undefined {
    const bytes = this.#buffer.subarray(0, length)
    if (this.#skippingTo !== undefined) {
      const end = bytes.indexOf(10)
      this.#options.events.skippedBytes(end === -1 ? length : end, 'overlong')
      if (end === -1) {
        this.#skippingTo += length
        return undefined
      }
      this.#advance(bytes, this.#skippingTo + end + 1 - this.#offset)
      this.#skippingTo = undefined
      return undefined
    }
    const last = bytes.lastIndexOf(10)
    if (last !== -1) {
      const text = bytes.toString('latin1', 0, last + 1)
      this.#advance(bytes, last + 1)
      return text
    }
    // A hole that a crash or a truncation under an open file left: no line, and no part of one.
    let from = 0
    while (from < length && bytes[from] === 0) from++
    if (from > 0) {
      this.#options.events.skippedBytes(from, 'nul')
      this.#advance(bytes, from)
      return ''
    }
    if (length < lineBytesMax) return undefined
    const text = bytes.toString('latin1', 0, lineBytesMax)
    this.#skippingTo = this.#offset + length
    this.#options.events.skippedBytes(length - lineBytesMax, 'overlong')
    return `${text}\n`
  }

  #advance(bytes: Buffer, count: number): void {
    if (this.#offset === this.#head.length && this.#head.length < headBytesMax && count <= bytes.length)
      this.#head = Buffer.concat([this.#head, bytes.subarray(0, Math.min(count, headBytesMax - this.#head.length))])
    this.#offset += count
  }

  async #deliver(text: string): Promise<LogChunk> {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#lines++
    this.#rotatedSinceMs = undefined
    const end = this.#replayEnd()
    const replayed = this.#replayed !== undefined && (end === undefined || this.#offset <= end)
    if (end !== undefined && this.#offset >= end) this.#replayed = undefined
    const file = this.#file!
    const latestMs = this.#isLog(file) ? this.#nowMs() : await file.modifiedMs().catch(() => this.#nowMs())
    return { text, position: this.#position(), replayed, latestMs }
  }

  /** Positions within a chunk whose text is the file's from `start` on. */
  #within(text: string, start: number, linesBefore: number): Pick<LogChunk, 'positionAt'> {
    if (start + text.length !== this.#offset) return {}
    const place = this.#place()
    return {
      positionAt: (end, lines) => ({ lines: linesBefore + lines, place: { ...place, offset: start + end } }),
    }
  }

  #position(): SourcePosition {
    return { lines: this.#lines, place: this.#place() }
  }

  #place(): FilePosition {
    return { ...this.#file!.identity, head: headOf(this.#head), offset: this.#offset, at: this.#nowMs() }
  }

  // ── the end of a file ──

  /** @param length bytes of a line without end that stand there */
  async #atEnd(length: number): Promise<LogChunk | undefined> {
    const file = this.#file!
    const end = this.#replayEnd()
    // Stopped at the end of the replay: go on.
    if (end !== undefined && this.#offset + length >= end) {
      this.#replayed = undefined
      if (length > 0) return undefined
    }
    const stats = await stat(this.#options.path, { bigint: true }).catch(() => undefined)
    if (stats && sameFile(identityOf(stats), file.identity)) {
      this.#rotatedSinceMs = undefined
      return undefined
    }
    if (!file.compressed && (await this.#mayStillGrow(file, stats !== undefined))) return undefined
    const last = length > 0 ? await this.#lastLine(length) : undefined
    await this.#leave()
    return last
  }

  /** Whether a file that was renamed may still be written to: its logger may not know yet. */
  async #mayStillGrow(file: LogFile, isMadeAnew: boolean): Promise<boolean> {
    const { rotateWaitMs } = this.#options
    if (this.#isLog(file)) {
      const now = this.#monotonicMs()
      this.#rotatedSinceMs ??= now
      const waited = now - this.#rotatedSinceMs
      if (!isMadeAnew) {
        if (waited > troubleAfterMs) this.#options.events.trouble(this.id, 'it was moved away and not made again')
        return true
      }
      if (waited >= rotateWaitMs) return false
    } else {
      const changedMs = await file.modifiedMs().catch(() => 0)
      if (Math.abs(this.#nowMs() - changedMs) >= rotateWaitMs) return false
    }
    // Rotated more than once since: nobody writes to it any more.
    const list = await this.#files.list()
    const index = list.findIndex(listed => sameFile(listed.identity, file.identity))
    return index === -1 || index >= list.length - 2
  }

  /** A last line without end, of a file that is done. */
  #lastLine(length: number): Promise<LogChunk> {
    const bytes = this.#buffer.subarray(0, length)
    const text = bytes.toString('latin1')
    this.#advance(bytes, length)
    this.#lines++
    return this.#deliver(text)
  }

  /** Goes on to what follows this file. */
  async #leave(): Promise<void> {
    const file = this.#file!
    const modifiedMs = await file.modifiedMs().catch(() => this.#nowMs())
    const removedMs = await file.changedMs().catch(() => this.#nowMs())
    this.#choose = this.#after(this.#place(), modifiedMs, removedMs)
    await this.close()
    await this.#openNext()
  }

  /** The content was replaced: what was there may have been copied away before. */
  async #truncated(): Promise<undefined> {
    this.#choose = this.#copyOf(this.#place(), this.#seenModifiedMs)
    await this.close()
    await this.#openNext()
  }
}

/** Unix ms; 0 where the file system does not tell. */
function birthMs(file: ListedFile): number {
  return Number(file.identity.birth) / 1e6
}

function beginningOf(file: ListedFile | undefined): Choice | undefined {
  return file && { file, offset: 0 }
}
