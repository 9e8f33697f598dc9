/**
 * How far a segment log has been released, kept beside its segments: two slots of `[u64 sequence][u64 count of
 * writes][u32 CRC-32 of the two]`, written in turn and in place, so that a torn write leaves the other slot and a full
 * disk is no obstacle. It is a cache: without it more is read again, never less.
 */
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { StartError } from '../process/start-error.ts'
import { isNoFile, type FileSystem, type OpenFile } from './file-system.ts'

const slotBytes = 20

export class ReleasePosition {
  /** Sequence of the last record that is not needed any more; 0 when none was released yet. */
  seq: number
  readonly #path: string
  readonly #files: FileSystem
  #file: OpenFile | undefined
  #writes = 0

  private constructor(dir: string, files: FileSystem) {
    this.#path = join(dir, 'released')
    this.#files = files
    this.seq = 0
  }

  /**
   * Where the file can't be made (on a full disk), that is tried again by `set`.
   * @throws {StartError} when it is there and can't be read: going on would send again what was released
   */
  static async open(dir: string, files: FileSystem): Promise<ReleasePosition> {
    const position = new ReleasePosition(dir, files)
    try {
      await position.#open(await files.open(position.#path, 'update'))
    } catch (error) {
      if (!isNoFile(error)) {
        const { code, message } = error as NodeJS.ErrnoException
        throw new StartError(
          `${position.#path} can't be read (${code ?? message}): mend that and start again, or remove it to have released records again`,
        )
      }
      await position.#create().catch(() => undefined)
    }
    return position
  }

  async #open(file: OpenFile): Promise<void> {
    const bytes = Buffer.alloc(2 * slotBytes)
    try {
      await file.read(bytes, 0)
    } catch (error) {
      await file.close().catch(() => undefined)
      throw error
    }
    const slots = [readSlot(bytes, 0), readSlot(bytes, 1)].filter(slot => slot !== undefined)
    const newest = slots.toSorted((a, b) => b.writes - a.writes)[0]
    this.seq = newest?.seq ?? 0
    this.#writes = newest?.writes ?? 0
    this.#file = file
  }

  async #create(): Promise<OpenFile> {
    const file = await this.#files.open(this.#path, 'create')
    try {
      // Both slots take their space now, not when the disk is full.
      await file.write(Buffer.alloc(2 * slotBytes), 0)
      await file.datasync()
      await this.#files.syncDirectory(dirname(this.#path))
    } catch (error) {
      await file.close().catch(() => undefined)
      throw error
    }
    this.#file = file
    return file
  }

  /** Remembers the position. Survives the end of the process at once, a power failure after `sync`. */
  async set(seq: number): Promise<void> {
    this.seq = seq
    this.#writes++
    const slot = Buffer.alloc(slotBytes)
    slot.writeBigUInt64BE(BigInt(seq), 0)
    slot.writeBigUInt64BE(BigInt(this.#writes), 8)
    slot.writeUInt32BE(crc32(slot.subarray(0, 16)), 16)
    const file = this.#file ?? (await this.#create())
    await file.write(slot, (this.#writes % 2) * slotBytes)
  }

  async sync(): Promise<void> {
    await this.#file?.datasync()
  }

  async close(): Promise<void> {
    await this.#file?.datasync().catch(() => undefined)
    await this.#file?.close().catch(() => undefined)
  }
}

function readSlot(bytes: Buffer, slot: number): { seq: number; writes: number } | undefined {
  const at = slot * slotBytes
  if (bytes.readUInt32BE(at + 16) !== crc32(bytes.subarray(at, at + 16))) return undefined
  const seq = Number(bytes.readBigUInt64BE(at))
  const writes = Number(bytes.readBigUInt64BE(at + 8))
  return writes === 0 || !Number.isSafeInteger(seq) ? undefined : { seq, writes }
}
