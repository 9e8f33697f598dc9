/**
 * How far a segment log has been released: a sequence of 8 bytes in the file `released` beside its segments. It is a cache:
 * without it more is read again, never less.
 */
import { join } from 'node:path'
import { StartError } from '../process/start-error.ts'
import type { FileSystem } from './file-system.ts'
import { SlotFile } from './slot-file.ts'

const sequenceBytes = 8

export class ReleasePosition {
  /** Sequence of the last record that is not needed any more; 0 when none was released yet. */
  seq: number
  readonly #file: SlotFile

  private constructor(file: SlotFile) {
    this.#file = file
    const { value } = file
    const seq = value?.length === sequenceBytes ? Number(value.readBigUInt64BE()) : 0
    this.seq = Number.isSafeInteger(seq) ? seq : 0
  }

  /** @throws {StartError} when it is there and can't be read: going on would send again what was released */
  static async open(dir: string, files: FileSystem): Promise<ReleasePosition> {
    const path = join(dir, 'released')
    let file
    try {
      file = await SlotFile.open(path, sequenceBytes, files)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      throw new StartError(
        `${path} can't be read (${code ?? message}): mend that and start again, or remove it to have released records again`,
      )
    }
    const position = new ReleasePosition(file)
    // Takes its space now, not when the disk is full; where it is already, `set` tries again.
    if (file.value === undefined) await position.set(position.seq).catch(() => undefined)
    return position
  }

  /** Remembers the position. Survives the end of the process at once, a power failure after `sync`. */
  async set(seq: number): Promise<void> {
    this.seq = seq
    const bytes = Buffer.alloc(sequenceBytes)
    bytes.writeBigUInt64BE(BigInt(seq))
    await this.#file.write(bytes)
  }

  async sync(): Promise<void> {
    await this.#file.sync()
  }

  async close(): Promise<void> {
    await this.#file.sync().catch(() => undefined)
    await this.#file.close()
  }
}
