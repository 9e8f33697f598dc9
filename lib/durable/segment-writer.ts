/** The one segment of a log that is appended to, and its file. */
import type { FileSystem, OpenFile } from './file-system.ts'
import { segmentPath, type Segment } from './segment.ts'

export class SegmentWriter {
  readonly #dir: string
  readonly #files: FileSystem
  #segment: Segment | undefined
  #file: OpenFile | undefined

  constructor(dir: string, files: FileSystem) {
    this.#dir = dir
    this.#files = files
  }

  /** The segment that is appended to, if any. */
  get segment(): Segment | undefined {
    return this.#segment
  }

  /** Goes on with a new segment; its file is made by the first append. The one before must be closed. */
  begin(firstSeq: number): Segment {
    this.#segment = { path: segmentPath(this.#dir, firstSeq), firstSeq, lastSeq: firstSeq - 1, bytes: 0 }
    return this.#segment
  }

  /**
   * Settles when the records are safe on disk.
   * @throws Error of the file system; then the file is not to be trusted again: `abandon`
   */
  async append(bytes: Uint8Array, records: number): Promise<void> {
    const segment = this.#segment!
    if (!this.#file) {
      this.#file = await this.#files.open(segment.path, 'create')
      // Its name has to be safe before anything in it is.
      await this.#files.syncDirectory(this.#dir)
    }
    await this.#file.write(bytes, segment.bytes)
    await this.#file.datasync()
    segment.bytes += bytes.length
    segment.lastSeq += records
  }

  /** Gives up the file, without what was not yet safe in it. */
  async abandon(): Promise<Segment | undefined> {
    const segment = this.#segment
    // Where this fails too, a scan ignores what a later segment has under the same sequence.
    if (segment) await this.#file?.truncate(segment.bytes).catch(() => undefined)
    await this.close()
    return segment
  }

  /** Lets go of the file; idempotent. */
  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    this.#segment = undefined
    await file?.close().catch(() => undefined)
  }
}
