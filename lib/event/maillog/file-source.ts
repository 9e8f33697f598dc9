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
import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { notRegular } from '../../process/named-file.ts'
import { LineCutter } from './line-cutter.ts'
import {
  beginsWith,
  DamagedFile,
  headBytesMax,
  headOf,
  identityOf,
  sameFile,
  type FilePosition,
  type LogFile,
} from './log-file.ts'
import { LogFileSet } from './log-file-set.ts'
import {
  lineBytesMax,
  type LogChunk,
  type LogSource,
  type Resume,
  type SourceEvents,
  type SourcePosition,
} from './log-source.ts'
import { beginningOf, NextFile, type Choose } from './next-file.ts'
import { UnreadCopies } from './unread-copies.ts'

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
/** The place in a log that was not there when it was looked for first. */
interface Absent {
  readonly absentAt: number
}

export class FileSource implements LogSource {
  readonly id: string
  readonly ended = false
  start?: SourcePosition
  readonly #options: FileSourceOptions
  readonly #files: LogFileSet
  readonly #next: NextFile
  readonly #unread: UnreadCopies
  readonly #nowMs: () => number
  readonly #monotonicMs: () => number
  readonly #buffer = Buffer.allocUnsafeSlow(chunkBytes)
  #file: LogFile | undefined
  /** Finds the file to go on with, while there is none. */
  #choose: Choose = async () => undefined
  /** It could be opened and not be read. */
  #isUnreadable = false
  #lineCutter = new LineCutter(0, Buffer.alloc(0), () => undefined)
  /** Lines up to here only teach the map. */
  #replayed: FilePosition | undefined
  /** That place is in the file being read. */
  #replayEndsHere = false
  #lines = 0
  /** By the clock that is never set. */
  #rotatedSinceMs: number | undefined
  /** When the file was changed last by the time its content was last found to be the same, Unix ms. */
  #seenModifiedMs = 0

  private constructor(options: FileSourceOptions) {
    this.id = options.path
    this.#options = options
    this.#files = new LogFileSet(options.path)
    this.#next = new NextFile(this.#files, reason => options.events.gap(this.id, reason))
    this.#nowMs = options.nowMs ?? Date.now
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
    this.#unread = new UnreadCopies(this.#files, this.#next, this.#nowMs, this.#monotonicMs)
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
    const cutter = this.#lineCutter
    const start = cutter.readFrom
    let bytes: Buffer
    try {
      const into = this.#limited(start)
      bytes = into.subarray(0, await file.read(into, start))
      if (!(await this.#isSameContent(file))) return await this.#truncated()
      if (cutter.offset === 0 && this.#isLog(file) && (await this.#wasCopiedAway(file, bytes.length > 0)))
        return undefined
    } catch (error) {
      return this.#unreadable(file, error as Error)
    }
    if (this.#isUnreadable) this.#options.events.trouble(this.id, undefined)
    this.#isUnreadable = false
    const lines = this.#lines
    const text = cutter.cut(bytes)
    if (text !== undefined) return { ...(await this.#deliver(text)), ...this.#within(text, start, lines) }
    if (cutter.isSkipping && bytes.length > 0) return undefined
    return this.#atEnd(bytes)
  }

  async lagBytes(): Promise<number> {
    const size = await this.#file?.size().catch(() => undefined)
    let sum = size === undefined ? 0 : Math.max(0, size - this.#lineCutter.readFrom)
    const list = await this.#files.list()
    const { identity } = this.#file ?? {}
    const index = identity ? list.findIndex(listed => sameFile(listed.identity, identity)) : -1
    if (index !== -1) for (const listed of list.slice(index + 1)) sum += listed.size
    return sum
  }

  async lastLine(): Promise<LogChunk | undefined> {
    const file = this.#file
    if (!file || file.compressed || this.#lineCutter.isSkipping) return undefined
    const length = await file.read(this.#buffer, this.#lineCutter.offset).catch(() => 0)
    const rest = this.#buffer.subarray(0, length)
    // What has an end or is too long is read as ever.
    if (length === 0 || length >= lineBytesMax || rest.includes(10)) return undefined
    return this.#takeLine(rest)
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
      this.#choose = log ? this.#at({ ...log, offset: 0 }) : this.#next.oldestSince(startedMs)
      return
    }
    const end = through?.place as FilePosition | Absent | undefined
    if (end && 'absentAt' in end) {
      // There was no log when it began: all that came since is new.
      this.#choose = this.#next.oldestSince(end.absentAt)
      return
    }
    // Kept at once, so that a kill before the first line changes nothing.
    if (!from && !end && fromBeginning && !damaged) this.start = { lines: 0, place: { absentAt: 0 } }
    // Where nobody can tell any more what was taken over, it is taken over again: rather twice than never.
    if (end && (await this.#files.locate(await this.#files.list(), end)) !== -1) this.#replayed = end
    const place = from?.place as FilePosition | undefined
    // Without a map everything that is still there makes it.
    this.#choose = place ? this.#at(place) : async list => beginningOf(list[0])
  }

  /** What nobody can find can't tell either where the events of before ended. */
  #at(place: FilePosition): Choose {
    return this.#next.at(place, () => (this.#replayed = undefined))
  }

  async #openNext(): Promise<boolean> {
    let opened
    try {
      opened = await this.#files.open(this.#choose)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const remedy =
        code === notRegular().code
          ? 'send it to standard input, as --log-path -'
          : "the agent's user needs to be in the group that may (Debian: adm)"
      const reason = `it can't be read (${code}): ${remedy}`
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
    this.#rotatedSinceMs = undefined
    this.#seenModifiedMs = await file.modifiedMs().catch(() => 0)
    const head = Buffer.alloc(Math.min(offset, headBytesMax))
    const headBytes = head.length === 0 ? 0 : await file.read(head, 0).catch(() => 0)
    this.#lineCutter = new LineCutter(offset, head.subarray(0, headBytes), this.#options.events.skippedBytes)
    await this.#placeReplay(file)
    if (this.#isLog(file) && offset === 0) await this.#unread.look()
    if (this.#isLog(file) && !this.#isUnreadable) this.#options.events.trouble(this.id, undefined)
    return true
  }

  async #isThere(): Promise<boolean> {
    return (await stat(this.#options.path).catch(() => undefined)) !== undefined
  }

  #isLog(file: LogFile): boolean {
    return file.path === this.#options.path
  }

  /** Whether there is a copy to be read before the log, of which nothing was read; then goes there. */
  async #wasCopiedAway(file: LogFile, isFilled: boolean): Promise<boolean> {
    const choose = await this.#unread.find(file, isFilled, reason => this.#options.events.gap(this.id, reason))
    if (!choose) return false
    await this.close()
    this.#choose = choose
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
      (sameFile(file.identity, place) || head.bytes > 0) && (await beginsWith(file.path, head, offset)) === 'yes'
    // The log itself is the newest of all: what is not in it lies behind.
    if (this.#isLog(file) && !this.#replayEndsHere) this.#replayed = undefined
  }

  /** A log that was truncated and has grown past the old place again shows only in how it begins. */
  async #isSameContent(file: LogFile): Promise<boolean> {
    if (file.compressed) return true
    // Asked before the content is looked at: it may be replaced meanwhile.
    const modifiedMs = await file.modifiedMs()
    const size = await file.size()
    if (size !== undefined && size < this.#lineCutter.offset) return false
    const { head } = this.#lineCutter
    if (head.length > 0) {
      const now = Buffer.alloc(head.length)
      const length = await file.read(now, 0)
      if (length !== now.length || !now.equals(head)) return false
    }
    this.#seenModifiedMs = modifiedMs
    return true
  }

  async #deliver(text: string): Promise<LogChunk> {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#lines++
    this.#rotatedSinceMs = undefined
    const end = this.#replayEnd()
    const replayed = this.#replayed !== undefined && (end === undefined || this.#lineCutter.offset <= end)
    if (end !== undefined && this.#lineCutter.offset >= end) this.#replayed = undefined
    const file = this.#file!
    const latestMs = this.#isLog(file) ? this.#nowMs() : await file.modifiedMs().catch(() => this.#nowMs())
    return { text, position: this.#position(), replayed, latestMs }
  }

  /** Takes a line that has no end. */
  async #takeLine(bytes: Buffer): Promise<LogChunk> {
    const text = this.#lineCutter.rest(bytes)
    this.#lines++
    return this.#deliver(text)
  }

  /** Positions within a chunk whose text is the file's from `start` on. */
  #within(text: string, start: number, linesBefore: number): Pick<LogChunk, 'positionAt'> {
    if (start + text.length !== this.#lineCutter.offset) return {}
    const place = this.#place()
    return {
      positionAt: (end, lines) => ({ lines: linesBefore + lines, place: { ...place, offset: start + end } }),
    }
  }

  #position(): SourcePosition {
    return { lines: this.#lines, place: this.#place() }
  }

  #place(): FilePosition {
    const { head, offset } = this.#lineCutter
    return { ...this.#file!.identity, head: headOf(head), offset, at: this.#nowMs() }
  }

  // ── the end of a file ──

  /** @param rest a line without end that stands there */
  async #atEnd(rest: Buffer): Promise<LogChunk | undefined> {
    const file = this.#file!
    const end = this.#replayEnd()
    // Stopped at the end of the replay: go on.
    if (end !== undefined && this.#lineCutter.offset + rest.length >= end) {
      this.#replayed = undefined
      if (rest.length > 0) return undefined
    }
    const stats = await stat(this.#options.path, { bigint: true }).catch(() => undefined)
    if (stats && sameFile(identityOf(stats), file.identity)) {
      this.#rotatedSinceMs = undefined
      return undefined
    }
    if (!file.compressed && (await this.#mayStillGrow(file, stats))) return undefined
    let last
    // A last line without end, of a file that is done.
    if (rest.length > 0) last = await this.#takeLine(rest)
    await this.#leave()
    return last
  }

  /**
   * Whether a file that was renamed may still be written to: its logger may not know yet.
   * @param log what bears the log's name now
   */
  async #mayStillGrow(file: LogFile, log: BigIntStats | undefined): Promise<boolean> {
    const { rotateWaitMs, events } = this.#options
    let isRecent
    if (this.#isLog(file)) {
      const now = this.#monotonicMs()
      this.#rotatedSinceMs ??= now
      const waitedMs = now - this.#rotatedSinceMs
      if (!log) {
        if (waitedMs > troubleAfterMs) events.trouble(this.id, 'it was moved away and not made again')
        return true
      }
      events.trouble(this.id, undefined)
      isRecent = waitedMs < rotateWaitMs
    } else {
      const changedMs = await file.modifiedMs().catch(() => 0)
      isRecent = Math.abs(this.#nowMs() - changedMs) < rotateWaitMs
    }
    const list = await this.#files.list()
    const index = list.findIndex(listed => sameFile(listed.identity, file.identity))
    const isRemoved = index === -1
    // Rotated more than once since: nobody writes to it any more.
    if (!isRemoved && index < list.length - 2) return false
    // A logger that was told writes to the new one. Of one that was removed the disk wants its space back.
    return isRecent || (!isRemoved && log?.size === 0n)
  }

  /** Goes on to what follows this file. */
  async #leave(): Promise<void> {
    const file = this.#file!
    const modifiedMs = await file.modifiedMs().catch(() => this.#nowMs())
    const removedMs = await file.changedMs().catch(() => this.#nowMs())
    this.#choose = this.#next.after(this.#place(), modifiedMs, removedMs, this.#unread.before)
    await this.close()
    await this.#openNext()
  }

  /** The content was replaced: what was there may have been copied away before. */
  async #truncated(): Promise<undefined> {
    this.#choose = this.#next.copyOf(this.#place(), this.#seenModifiedMs)
    await this.close()
    await this.#openNext()
  }

  /** Stays with a file that can't be read at the moment; one that is damaged is left. */
  async #unreadable(file: LogFile, error: Error): Promise<undefined> {
    if (error instanceof DamagedFile) {
      this.#options.events.gap(this.id, `${error.message}: what is left of it is skipped`)
      await this.#leave()
      return
    }
    this.#options.events.trouble(this.id, `${file.path} can't be read (${error.message}): check the disk`)
    this.#isUnreadable = true
    this.#choose = this.#at(this.#place())
    await this.close()
  }
}
