/** The one file of a log that is open for reading, and how far it was read. */
import type { FileSystem } from './file-system.ts'
import type { SegmentRecord } from './segment-record.ts'
import { scanSegment, type ScannedFile, type Segment, type SegmentPlace } from './segment.ts'

export class SegmentReader {
  readonly #files: FileSystem
  #at: (ScannedFile & { readonly segment: Segment; offset: number; seq: number }) | undefined

  constructor(files: FileSystem) {
    this.#files = files
  }

  /** The segment whose file is open, if any. */
  get segment(): Segment | undefined {
    return this.#at?.segment
  }

  /**
   * Goes on where it was, else at the beginning of the segment, until `visit` gives false, `beforeSeq` is reached or no
   * further record is there.
   *
   * @param seq of the first record that is wanted; those before it may come too
   * @param visit its record's payload is valid until it returns
   * @throws Error of the file system; says nothing about the records
   */
  async read(
    segment: Segment,
    seq: number,
    beforeSeq: number,
    visit: (record: SegmentRecord) => boolean,
  ): Promise<SegmentPlace> {
    const at = this.#at?.segment === segment && this.#at.seq <= seq ? this.#at : await this.#open(segment)
    try {
      const reached = await scanSegment(at, at.offset, at.seq, beforeSeq, visit)
      at.offset = reached.offset
      at.seq = reached.seq
      return reached
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #open(segment: Segment) {
    await this.close()
    const file = await this.#files.open(segment.path, 'read')
    this.#at = { segment, file, offset: 0, seq: segment.firstSeq }
    return this.#at
  }

  /** Lets go of the file, also while it is read: `read` then rejects. */
  async close(): Promise<void> {
    const at = this.#at
    this.#at = undefined
    await at?.file.close().catch(() => undefined)
  }
}
