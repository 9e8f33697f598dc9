/**
 * Follows a log file through every kind of rotation, from where it was left.
 *
 * What holds:
 * - only complete lines leave it, and a position is always the end of a complete line;
 * - a file is known by device, inode, birth time and its first 1024 bytes, never by its name alone;
 * - a file that was renamed is read to its end, and for as long as the logger may still write to it;
 * - after a truncation, what was copied away before is read from the copy;
 * - files that were rotated meanwhile are found and read first, oldest first; what is gone is reported as a gap.
 */
import { stat } from 'node:fs/promises'
import {
  beginsWith,
  headBytesMax,
  headOf,
  identityOf,
  openLogFile,
  sameFile,
  type FilePosition,
  type LogFile,
} from './log-file.ts'
import {
  lineBytesMax,
  type LogChunk,
  type LogSource,
  type Resume,
  type SourceEvents,
  type SourcePosition,
} from './log-source.ts'
import { rotatedFiles } from './rotated-files.ts'

export interface FileSourceOptions {
  readonly path: string
  /** How long after a rotation the old file is still read, ms: the logger writes to it until it is told. */
  readonly rotateWaitMs: number
  /** Without anything to resume: report what the files hold already. Otherwise they only teach the map. */
  readonly fromBeginning: boolean
  readonly events: SourceEvents
  readonly nowMs?: () => number
}

/** Small enough for its text to be garbage at once (V8 moves larger strings to where it seldom looks). */
const chunkBytes = 96 * 1024

/** The place in a log that was not there when it was looked for first. */
interface Absent {
  readonly absentAt: number
}

interface Planned {
  readonly path: string
  readonly offset: number
}

export class FileSource implements LogSource {
  readonly id: string
  readonly ended = false
  start?: SourcePosition
  readonly #options: FileSourceOptions
  readonly #nowMs: () => number
  readonly #buffer = Buffer.allocUnsafeSlow(chunkBytes)
  #file: LogFile | undefined
  /** The first bytes of the file, as many as have been read of it, at most 1024. */
  #head = Buffer.alloc(0)
  #offset = 0
  /** In the middle of a line that is too long: everything to its end is left out. */
  #skippingTo: number | undefined
  /** Files to be read after this one, oldest first. The log itself is looked up by its name when they are done. */
  #planned: Planned[] = []
  /** Lines up to here only teach the map. */
  #replayed: FilePosition | undefined
  /** That place is in the file being read. */
  #replayEndsHere = false
  #lines = 0
  #rotatedSinceMs: number | undefined

  private constructor(options: FileSourceOptions) {
    this.id = options.path
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
  }

  /** Finds the place to go on at; waits for the file when it is not there. */
  static async open(options: FileSourceOptions, resume: Resume): Promise<FileSource> {
    const source = new FileSource(options)
    await source.#begin(resume)
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
    let sum = 0
    const size = await this.#file?.size().catch(() => undefined)
    if (size !== undefined) sum += Math.max(0, size - this.#offset)
    for (const { path, offset } of this.#planned) {
      const stats = await stat(path).catch(() => undefined)
      if (stats) sum += Math.max(0, stats.size - offset)
    }
    return sum
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  // ── where to begin ──

  async #begin({ from, through, damaged }: Resume): Promise<void> {
    this.#lines = (from ?? through)?.lines ?? 0
    if (from === undefined && through === undefined && !damaged && !this.#options.fromBeginning) {
      const log = await this.#currentPosition()
      this.#replayed = log
      this.start = { lines: 0, place: log ?? { absentAt: this.#nowMs() } }
      return
    }
    const end = through?.place as FilePosition | Absent | undefined
    if (end && 'absentAt' in end) {
      // There was no log when it began: all that came since is new.
      this.#planned = await this.#changedSince(end.absentAt)
      return
    }
    // Where nobody can tell any more what was taken over, it is taken over again: rather twice than never.
    if (end && (await this.#locate(await this.#set(), end)) !== -1) this.#replayed = end
    const place = from?.place as FilePosition | undefined
    if (place) {
      await this.#planFrom(place)
      return
    }
    // There is no map: everything that is still there makes it.
    this.#planned = (await this.#set()).map(path => ({ path, offset: 0 }))
  }

  async #changedSince(atMs: number): Promise<Planned[]> {
    const planned: Planned[] = []
    for (const path of await this.#set()) {
      const stats = await stat(path).catch(() => undefined)
      if (stats && stats.mtimeMs >= atMs) planned.push({ path, offset: 0 })
    }
    return planned
  }

  /** Plans the files from a position on. When its file is gone, those that are newer. */
  async #planFrom(place: FilePosition): Promise<void> {
    const set = await this.#set()
    const index = await this.#locate(set, place)
    if (index !== -1) {
      this.#planned = set.slice(index).map((path, at) => ({ path, offset: at === 0 ? place.offset : 0 }))
      return
    }
    this.#planned = await this.#changedSince(place.at)
    // What nobody can find can't tell either where the events of before ended.
    this.#replayed = undefined
    this.#options.events.gap(this.id, 'the file that was read last is gone: it was rotated away while nobody read it')
  }

  /** The log and what it was rotated into, oldest first. */
  async #set(): Promise<string[]> {
    const { path } = this.#options
    const files = (await rotatedFiles(path)).map(file => file.path)
    return (await stat(path).catch(() => undefined)) ? [...files, path] : files
  }

  /** The index of the file that a position is in; -1 when it is gone. */
  async #locate(set: readonly string[], place: FilePosition): Promise<number> {
    let copy = -1
    // Newest first: after copytruncate the copy that was made last is the one.
    for (let index = set.length - 1; index >= 0; index--) {
      const path = set[index]!
      const stats = await stat(path, { bigint: true }).catch(() => undefined)
      if (!stats) continue
      const same = sameFile(identityOf(stats), place)
      if (!same && place.head.bytes === 0) continue
      if (!(await beginsWith(path, place.head, place.offset))) continue
      if (same) return index
      if (copy === -1) copy = index
    }
    return copy
  }

  /** The end of the log as it is; undefined when it is not there. */
  async #currentPosition(): Promise<FilePosition | undefined> {
    let file
    try {
      file = await openLogFile(this.#options.path)
      const size = (await file.size()) ?? 0
      const head = Buffer.alloc(Math.min(size, headBytesMax))
      const length = await file.read(head, 0)
      return { ...file.identity, head: headOf(head.subarray(0, length)), offset: size, at: this.#nowMs() }
    } catch {
      return undefined
    } finally {
      await file?.close().catch(() => undefined)
    }
  }

  // ── reading ──

  async #openNext(): Promise<boolean> {
    const planned = this.#planned.shift() ?? { path: this.#options.path, offset: 0 }
    const isLog = planned.path === this.#options.path
    try {
      const file = await openLogFile(planned.path)
      this.#file = file
      this.#offset = planned.offset
      this.#skippingTo = undefined
      this.#rotatedSinceMs = undefined
      const head = Buffer.alloc(Math.min(planned.offset, headBytesMax))
      this.#head = head.length === 0 ? head : head.subarray(0, await file.read(head, 0))
      await this.#placeReplay(file, isLog)
      if (isLog) this.#options.events.trouble(this.id, undefined)
      return true
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const reason =
        code === 'ENOENT'
          ? 'it is not there: check --log-path, and that the MTA logs to a file'
          : `it can't be read (${code}): the agent's user needs to be in the group that may (Debian: adm)`
      if (isLog) this.#options.events.trouble(this.id, reason)
      else if (code !== 'ENOENT') this.#options.events.gap(this.id, `${planned.path}: ${reason}`)
      return false
    }
  }

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

  async #placeReplay(file: LogFile, isLog: boolean): Promise<void> {
    const place = this.#replayed
    if (!place) return
    const { head, offset } = place
    this.#replayEndsHere =
      (sameFile(file.identity, place) || head.bytes > 0) && (await beginsWith(file.path, head, offset))
    // The log itself is the newest of all: what is not in it lies behind.
    if (isLog && !this.#replayEndsHere) this.#replayed = undefined
  }

  /** A log that was truncated and has grown past the old place again shows only in how it begins. */
  async #isSameContent(file: LogFile): Promise<boolean> {
    if (file.compressed) return true
    const size = await file.size()
    if (size !== undefined && size < this.#offset) return false
    if (this.#head.length === 0) return true
    const now = Buffer.alloc(this.#head.length)
    const length = await file.read(now, 0)
    return length === now.length && now.equals(this.#head)
  }

  /** Takes the complete lines out of what was read. */
  #cut(length: number): string | undefined {
    let from = 0
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
    const isLog = this.#file!.path === this.#options.path
    const latestMs = isLog ? this.#nowMs() : await this.#file!.modifiedMs().catch(() => this.#nowMs())
    return { text, position: this.#position(), replayed, latestMs }
  }

  /** Positions within a chunk whose text is the file's from `start` on. */
  #within(text: string, start: number, linesBefore: number): Pick<LogChunk, 'positionAt'> {
    if (start + text.length !== this.#offset) return {}
    const { place } = this.#position() as { place: FilePosition }
    return {
      positionAt: (end, lines) => ({ lines: linesBefore + lines, place: { ...place, offset: start + end } }),
    }
  }

  #position(): SourcePosition {
    const place: FilePosition = {
      ...this.#file!.identity,
      head: headOf(this.#head),
      offset: this.#offset,
      at: this.#nowMs(),
    }
    return { lines: this.#lines, place }
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
    const wasLog = file.path === this.#options.path
    if (!wasLog && !file.compressed && (await this.#mayStillGrow(file))) return undefined
    if (wasLog && !file.compressed && !(await this.#isOld(file))) {
      const now = this.#nowMs()
      this.#rotatedSinceMs ??= now
      const waited = now - this.#rotatedSinceMs
      if (!stats) {
        if (waited > troubleAfterMs) this.#options.events.trouble(this.id, 'it was moved away and not made again')
        return undefined
      }
      if (waited < this.#options.rotateWaitMs) return undefined
    }
    const last = length > 0 ? this.#lastLine(length) : undefined
    await this.#leave()
    return last
  }

  /** A rotated file that changed just now: its logger may not yet know. */
  async #mayStillGrow(file: LogFile): Promise<boolean> {
    const changedMs = await file.modifiedMs().catch(() => 0)
    return Math.abs(this.#nowMs() - changedMs) < this.#options.rotateWaitMs && !(await this.#isOld(file))
  }

  /** Rotated more than once since: nobody writes to it any more. */
  async #isOld(file: LogFile): Promise<boolean> {
    const set = await this.#set()
    for (const [index, path] of set.entries()) {
      const stats = await stat(path, { bigint: true }).catch(() => undefined)
      if (stats && sameFile(identityOf(stats), file.identity)) return index < set.length - 2
    }
    return false
  }

  /** A last line without end, of a file that is done. */
  #lastLine(length: number): Promise<LogChunk> {
    const bytes = this.#buffer.subarray(0, length)
    const text = bytes.toString('latin1', 0, length)
    this.#advance(bytes, length)
    this.#lines++
    return this.#deliver(text)
  }

  /** Goes on to what follows this file. */
  async #leave(): Promise<void> {
    const file = this.#file!
    const place = this.#position().place as FilePosition
    this.#file = undefined
    this.#skippingTo = undefined
    await file.close().catch(() => undefined)
    if (this.#planned.length > 0) return
    const set = await this.#set()
    const index = await this.#locate(set, place)
    if (index !== -1) {
      this.#planned = set.slice(index + 1).map(path => ({ path, offset: 0 }))
      return
    }
    for (const path of set) {
      const stats = await stat(path).catch(() => undefined)
      if (stats && (stats.mtimeMs >= place.at || path === this.#options.path)) this.#planned.push({ path, offset: 0 })
    }
  }

  /** The content was replaced: what was there may have been copied away before. */
  async #truncated(): Promise<undefined> {
    const place = this.#position().place as FilePosition
    const isLog = this.#file!.path === this.#options.path
    await this.close()
    if (!isLog) return undefined
    const set = await this.#set()
    const index = await this.#locate(set, place)
    this.#planned =
      index === -1
        ? [{ path: this.#options.path, offset: 0 }]
        : set.slice(index).map((path, at) => ({ path, offset: at === 0 ? place.offset : 0 }))
    return undefined
  }
}

const troubleAfterMs = 60_000
