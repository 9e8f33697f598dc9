/**
 * A durable queue of records in a folder: appended at the end, read in order, released from the front.
 *
 * What holds:
 * - `append` settles only when its record would survive a power failure; all that wait share one fdatasync;
 * - records come back in the order of their sequence, each exactly as it was written, or not at all;
 * - a record that was released comes back only when the machine lost power before the release reached the disk, or the
 *   file `released` was damaged: then from the beginning of the oldest segment on;
 * - a record whose `append` was rejected may come back after a crash, never twice;
 * - damage (a checksum, length or sequence that is wrong) costs the records that it hit and those behind them in the same
 *   segment; it is reported, what is damaged is kept as `*.corrupt-…`, and the log goes on;
 * - a file that can't be read at the moment is not damaged: reading and starting fail, and nothing is lost;
 * - it never takes more than `bytesMax` and one segment of disk; releasing needs no space.
 *
 * Format: docs/durable-log.md.
 */
import { basename } from 'node:path'
import { lockDirectory, type DirectoryLock } from './directory-lock.ts'
import { fileSystem, type FileSystem } from './file-system.ts'
import { ReleasePosition } from './release-position.ts'
import { recoverSegments, saveRest, type Damage } from './segment-recovery.ts'
import { SegmentReader } from './segment-reader.ts'
import type { Segment, SegmentPlace } from './segment.ts'
import { SegmentWriter } from './segment-writer.ts'
import { encodeRecord, payloadBytesMax, recordHeaderBytes, type SegmentRecord } from './segment-record.ts'

export type { SegmentRecord } from './segment-record.ts'
export type { Damage } from './segment-recovery.ts'

/** The log has reached its `bytesMax`, or the disk is full; nothing was stored. */
export class SegmentLogFull extends Error {
  override readonly name = 'SegmentLogFull'
}

export interface SegmentLogOptions {
  /** Folder of its own; made when it is not there. */
  readonly dir: string
  /** Most that it may take on disk, in bytes, give or take one segment. */
  readonly bytesMax: number
  /** Size at which a new file is begun, in bytes. 4 MiB, and never more than an eighth of `bytesMax`. */
  readonly segmentBytes?: number
  readonly onDamage?: (damage: Damage) => void
  readonly files?: FileSystem
  /** How the folder is made this process's own; for tests with files that are nowhere. */
  readonly lock?: (dir: string) => Promise<DirectoryLock>
}

interface Waiting {
  readonly payload: Uint8Array
  readonly resolve: (seq: number) => void
  readonly reject: (error: Error) => void
}

const damagedLater = 'a record was damaged after it had been stored'
const defaultSegmentBytes = 4 << 20
/** Most that is written before an fdatasync, in bytes. */
const groupBytesMax = 1 << 20
/** Size of the buffer that is kept for groups; larger ones are rare. */
const groupBufferBytes = 64 << 10

export class SegmentLog {
  /** Its folder. */
  readonly dir: string
  readonly #bytesMax: number
  readonly #segmentBytes: number
  readonly #files: FileSystem
  readonly #onDamage: (damage: Damage) => void
  readonly #lock: DirectoryLock
  readonly #released: ReleasePosition
  /** In order of sequence. The last may be open for appends. */
  readonly #segments: Segment[] = []
  readonly #writer: SegmentWriter
  readonly #reader: SegmentReader
  #nextSeq = 1
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #groupBuffer: Buffer | undefined
  /** Appending and removing of segments, one after the other. */
  #writing: Promise<void> = Promise.resolve()
  #isFlushing = false
  #reading: Promise<unknown> = Promise.resolve()
  #isClosed = false

  private constructor(options: SegmentLogOptions, lock: DirectoryLock, released: ReleasePosition) {
    this.dir = options.dir
    this.#bytesMax = options.bytesMax
    // Space comes back a segment at a time: a small log needs small ones.
    this.#segmentBytes = Math.min(options.segmentBytes ?? defaultSegmentBytes, Math.ceil(options.bytesMax / 8))
    this.#files = options.files ?? fileSystem
    this.#onDamage = options.onDamage ?? (() => undefined)
    this.#writer = new SegmentWriter(this.dir, this.#files)
    this.#reader = new SegmentReader(this.#files)
    this.#lock = lock
    this.#released = released
  }

  /**
   * Opens the log, makes it when it is not there. Damage is reported and never a reason not to start.
   * @throws {StartError} when another live process has it open, the folder can't be written or a file can't be read
   */
  static async open(options: SegmentLogOptions): Promise<SegmentLog> {
    const files = options.files ?? fileSystem
    const lock = await (options.lock ?? lockDirectory)(options.dir)
    let released
    try {
      released = await ReleasePosition.open(options.dir, files)
      const log = new SegmentLog(options, lock, released)
      await log.#recover()
      return log
    } catch (error) {
      await released?.close()
      await lock.release()
      throw error
    }
  }

  /** What it takes on disk at the moment, in bytes; released records count until their segment is removed. */
  get bytes(): number {
    let sum = 0
    for (const segment of this.#segments) sum += segment.bytes
    return sum
  }

  /** The sequence of the oldest record that is not released; lastSeq + 1 when there is none. */
  get firstSeq(): number {
    return Math.max(this.#released.seq + 1, this.#segments[0]?.firstSeq ?? this.#nextSeq)
  }

  /** The sequence of the newest record that is safe on disk; 0 in a new log. */
  get lastSeq(): number {
    return this.#nextSeq - 1
  }

  /** The sequence through which records were released. */
  get releasedSeq(): number {
    return this.#released.seq
  }

  /**
   * Appends a record; settles with its sequence when it is safe on disk.
   * @param payload 1 byte to 1 MiB; not to be changed until settled
   * @throws {SegmentLogFull} at `bytesMax` or when the disk is full
   * @throws Error of the file system when it can't be stored for another reason
   */
  append(payload: Uint8Array): Promise<number> {
    const size = recordHeaderBytes + payload.length
    if (payload.length === 0 || payload.length > payloadBytesMax) {
      return Promise.reject(new RangeError(`a record of ${payload.length} bytes: expected 1 to ${payloadBytesMax}`))
    }
    if (this.#isClosed) return Promise.reject(new Error(`${this.dir} is closed`))
    if (this.bytes + this.#waitingBytes + size > this.#bytesMax) {
      return Promise.reject(new SegmentLogFull(`${this.dir} has reached its ${this.#bytesMax} bytes`))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, resolve, reject })
      this.#waitingBytes += size
      if (this.#isFlushing) return
      this.#isFlushing = true
      void this.#exclusively(() => this.#flush())
    })
  }

  /**
   * The records behind `afterSeq` that are safe on disk and not released, oldest first: as many as fit in `bytesMax`
   * bytes of payload, at least one when there is one.
   *
   * @throws Error when a file can't be read at the moment (EMFILE, EIO, EACCES …); nothing is lost, try again later
   */
  read(afterSeq: number, bytesMax: number): Promise<SegmentRecord[]> {
    return this.readAs(afterSeq, bytesMax, ({ seq, payload }) => ({ seq, payload: Buffer.from(payload) }))
  }

  /**
   * The same, of each record what `take` makes of it: for payloads that need not be kept as they are.
   * @param take its record's payload is valid until it returns; must not throw
   */
  readAs<T>(afterSeq: number, bytesMax: number, take: (record: SegmentRecord) => T): Promise<T[]> {
    const result = this.#reading.then(() => this.#read(afterSeq, bytesMax, take))
    this.#reading = result.catch(() => undefined)
    return result
  }

  /** States that the records through this sequence are not needed any more; removes the files that are done. */
  release(throughSeq: number): Promise<void> {
    return this.#exclusively(async () => {
      const seq = Math.min(throughSeq, this.lastSeq)
      if (seq <= this.#released.seq) return
      // An error leaves the old position on disk: more is read again after a restart, nothing is lost.
      await this.#released.set(seq).catch(() => undefined)
      await this.#removeReleased(this.#segmentBytes / 4)
    })
  }

  /** Waits for the appends under way, then gives up the folder; idempotent. Removes the files when all is released. */
  async close(): Promise<void> {
    if (this.#isClosed) return this.#writing
    this.#isClosed = true
    await this.#reading
    return this.#exclusively(async () => {
      await this.#removeReleased(0)
      await this.#writer.close()
      await this.#reader.close()
      await this.#released.close()
      await this.#lock.release()
    })
  }

  async #recover(): Promise<void> {
    const { seq } = this.#released
    this.#segments.push(...(await recoverSegments(this.dir, seq, this.#files, this.#onDamage)))
    this.#nextSeq = Math.max(seq, this.#segments.at(-1)?.lastSeq ?? 0) + 1
    await this.#removeReleased(0)
  }

  #exclusively(step: () => Promise<void>): Promise<void> {
    const result = this.#writing.then(step)
    this.#writing = result.catch(() => undefined)
    return result
  }

  async #flush(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const group = this.#takeGroup()
        try {
          const firstSeq = await this.#store(group)
          for (const [index, { resolve }] of group.entries()) resolve(firstSeq + index)
        } catch (error) {
          for (const { reject } of group) reject(error as Error)
        }
      }
    } finally {
      this.#isFlushing = false
    }
  }

  #takeGroup(): Waiting[] {
    let count = 0
    let size = 0
    while (count < this.#waiting.length && size < Math.min(groupBytesMax, this.#segmentBytes)) {
      size += recordHeaderBytes + this.#waiting[count]!.payload.length
      count++
    }
    const group = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    this.#waitingBytes -= size
    return group
  }

  /** For one group at a time. A buffer for each would be garbage of which V8 lets megabytes lie. */
  #bufferOf(size: number): Buffer {
    if (size > groupBufferBytes) return Buffer.allocUnsafeSlow(size)
    this.#groupBuffer ??= Buffer.allocUnsafeSlow(groupBufferBytes)
    return this.#groupBuffer.subarray(0, size)
  }

  /** Makes a group safe on disk and gives its first sequence. */
  async #store(group: readonly Waiting[]): Promise<number> {
    let size = 0
    for (const { payload } of group) size += recordHeaderBytes + payload.length
    const bytes = this.#bufferOf(size)
    let offset = 0
    for (const [index, { payload }] of group.entries()) {
      offset = encodeRecord(bytes, offset, this.#nextSeq + index, payload)
    }
    try {
      await this.#write(bytes, group.length)
    } catch (error) {
      await this.#abandonActive()
      const bytesBefore = this.bytes
      await this.#removeReleased(0)
      // A full disk is no fault of the file: a second one helps only where the first one's space came back.
      if (isFullDisk(error) && this.bytes === bytesBefore) throw full(this.dir, error)
      try {
        // After a failed fdatasync the kernel may have dropped the pages: a second one on the same file proves nothing.
        await this.#write(bytes, group.length)
      } catch (again) {
        await this.#abandonActive()
        throw isFullDisk(again) ? full(this.dir, again) : (again as Error)
      }
    }
    const firstSeq = this.#nextSeq
    this.#nextSeq += group.length
    return firstSeq
  }

  async #write(bytes: Buffer, records: number): Promise<void> {
    const { segment } = this.#writer
    if (segment && segment.bytes > 0 && segment.bytes + bytes.length > this.#segmentBytes) {
      await this.#writer.close()
      await this.#removeReleased(0)
    }
    if (!this.#writer.segment) this.#segments.push(this.#writer.begin(this.#nextSeq))
    await this.#writer.append(bytes, records)
  }

  /** Gives up the segment that failed. */
  async #abandonActive(): Promise<void> {
    const segment = await this.#writer.abandon()
    if (segment?.bytes !== 0) return
    this.#segments.pop()
    await this.#files.unlink(segment.path).catch(() => undefined)
  }

  /** Removes segments of which nothing is needed; the one being appended to only from `activeBytesMin` on. */
  async #removeReleased(activeBytesMin: number): Promise<void> {
    let isSynced = false
    for (;;) {
      const segment = this.#segments[0]
      // One without a good record is needed by nobody.
      if (!segment || segment.lastSeq > Math.max(this.#released.seq, segment.firstSeq - 1)) break
      if (segment === this.#writer.segment && segment.bytes <= activeBytesMin) break
      // Else a power failure could leave neither the file nor the position, and sequences would be given twice.
      if (!isSynced) await this.#released.sync().catch(() => undefined)
      isSynced = true
      if (segment === this.#writer.segment) await this.#writer.close()
      this.#segments.shift()
      await this.#files.unlink(segment.path).catch(() => undefined)
      // A file that is open keeps its space, and a reader that has nothing to read would keep it for ever.
      if (this.#reader.segment === segment) await this.#reader.close()
    }
    // What was damaged behind the last good record is done with too.
    if (this.firstSeq - 1 > this.#released.seq) await this.#released.set(this.firstSeq - 1).catch(() => undefined)
  }

  async #read<T>(afterSeq: number, bytesMax: number, take: (record: SegmentRecord) => T): Promise<T[]> {
    const records: T[] = []
    let bytes = 0
    let seq = Math.max(afterSeq, this.#released.seq) + 1
    for (;;) {
      const segment = this.#segments.find(({ lastSeq }) => lastSeq >= seq)
      if (!segment) break
      const wanted = Math.max(seq, segment.firstSeq)
      const lastSeq = segment.lastSeq
      let isFull = false
      let reached
      try {
        reached = await this.#reader.read(segment, wanted, lastSeq + 1, record => {
          if (record.seq < wanted) return true
          isFull = records.length > 0 && bytes + record.payload.length > bytesMax
          if (isFull) return false
          bytes += record.payload.length
          records.push(take(record))
          return true
        })
      } catch (error) {
        // Released and removed while it was read.
        if (!this.#segments.includes(segment)) continue
        if (await this.#isMissing(segment)) {
          await this.#giveUp(segment, { offset: 0, seq: segment.firstSeq }, wanted, 'somebody removed it')
          continue
        }
        // Says nothing about the records: they are there when the next try succeeds.
        if (records.length > 0) break
        const { code, message } = error as NodeJS.ErrnoException
        throw new Error(`${segment.path} can't be read (${code ?? message})`, { cause: error })
      }
      seq = Math.max(reached.seq, seq)
      if (isFull || bytes >= bytesMax) break
      if (reached.seq <= lastSeq) await this.#giveUp(segment, reached, wanted, damagedLater)
    }
    // It may have been removed while it was opened.
    if (this.#reader.segment && !this.#segments.includes(this.#reader.segment)) await this.#reader.close()
    return records
  }

  /** Whether the file is gone for good: the folder is there with the rest, not unmounted. */
  async #isMissing({ path }: Segment): Promise<boolean> {
    const names = await this.#files.list(this.dir).catch((): string[] => [])
    return names.includes('released') && !names.includes(basename(path))
  }

  /** Lets go of what is behind the last good record of a segment; nothing more is appended there. */
  #giveUp(
    segment: Segment,
    { offset, seq }: Pick<SegmentPlace, 'offset' | 'seq'>,
    wanted: number,
    reason: string,
  ): Promise<void> {
    return this.#exclusively(async () => {
      if (!this.#segments.includes(segment)) return
      if (segment === this.#writer.segment) await this.#writer.close()
      const recordsMissing = segment.lastSeq - Math.max(seq, wanted) + 1
      segment.lastSeq = seq - 1
      this.#onDamage({
        file: segment.path,
        reason,
        recordsMissing,
        savedAs: await saveRest(segment.path, offset, this.#files),
      })
      await this.#removeReleased(0)
    })
  }
}

/** No space, no quota, or the limit on file size. */
function isFullDisk(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '')
}

function full(dir: string, cause: unknown): SegmentLogFull {
  return new SegmentLogFull(`${dir}: no space left on the disk`, { cause })
}
