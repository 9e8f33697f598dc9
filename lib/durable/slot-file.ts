/**
 * A small value that changes often, in a file of fixed size: two slots that are written in turn and in place. A write that
 * is torn leaves the other slot, and no write needs space, so that a full disk is no obstacle (unless the file system
 * writes elsewhere what is changed, as btrfs and ZFS do).
 *
 * A slot, big-endian: `[u32 CRC-32 of what follows up to the value's end][u32 length of the value][u64 count of
 * writes][value]`; zeros while it was never written. The second begins in the middle of the file, so that no sector is
 * shared.
 */
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { writeFileDurably } from './durable-file.ts'
import { fileContent } from './file-content.ts'
import { fileSystem, isNoFile, type FileSystem, type OpenFile } from './file-system.ts'

const headerBytes = 16
/** What disks and page caches write as one, in bytes. */
const pageBytes = 4096
const slotBytesMax = 1 << 20

interface Slot {
  readonly writes: bigint
  readonly value: Buffer
}

export class SlotFile {
  readonly #path: string
  readonly #files: FileSystem
  readonly #slotBytesMin: number
  #file: OpenFile | undefined
  #slotBytes = 0
  /** The slot that holds the newest value. */
  #newest: 0 | 1 = 0
  #isSynced = true
  #isNameSynced = true
  #writes = 0n
  #value: Buffer | undefined
  #isDamaged = false

  private constructor(path: string, room: number, files: FileSystem) {
    this.#path = path
    this.#files = files
    this.#slotBytesMin = Math.ceil((headerBytes + room) / pageBytes) * pageBytes
  }

  /**
   * Opens the file; where it is not there, `write` makes it.
   * @param room bytes of a value that are set aside from the start; a longer value makes a larger file, which needs space
   * @throws Error of the file system when the file is there and can't be read
   */
  static async open(path: string, room: number, files: FileSystem = fileSystem): Promise<SlotFile> {
    const slots = new SlotFile(path, room, files)
    await slots.#open()
    return slots
  }

  /** What was written last; undefined when nothing was, or nothing of it can be read. */
  get value(): Buffer | undefined {
    return this.#value
  }

  /** Whether there was a file with nothing good in it. */
  get isDamaged(): boolean {
    return this.#isDamaged
  }

  async #open(): Promise<void> {
    let file
    try {
      file = await this.#files.open(this.#path, 'update')
    } catch (error) {
      if (!isNoFile(error)) throw error
      this.#isDamaged = (error as NodeJS.ErrnoException).code !== 'ENOENT'
      return
    }
    try {
      const bytes = await fileContent(file, 2 * slotBytesMax)
      const slotBytes = bytes.length >> 1
      const found = [readSlot(bytes, 0), readSlot(bytes, slotBytes)]
      const newest = (found[1]?.writes ?? -1n) > (found[0]?.writes ?? -1n) ? 1 : 0
      this.#value = found[newest]?.value
      this.#writes = found[newest]?.writes ?? 0n
      this.#isDamaged = this.#value === undefined
      const isAsMade = slotBytes >= pageBytes && slotBytes % pageBytes === 0 && bytes.length === 2 * slotBytes
      // A file of another size is made anew with the next write.
      if (this.#isDamaged || !isAsMade) return
      this.#newest = newest
      this.#slotBytes = slotBytes
      this.#file = file
    } finally {
      if (this.#file !== file) await file.close().catch(() => undefined)
    }
  }

  /**
   * Puts a value in place of the one before; one write at a time. Survives the end of the process at once, a power failure
   * after `sync`.
   * @throws Error of the file system; the value before is then still there
   */
  async write(value: Uint8Array): Promise<void> {
    if (headerBytes + value.length > slotBytesMax)
      throw new RangeError(`${this.#path}: ${value.length} bytes are too many`)
    const writes = this.#writes + 1n
    const slot = encodeSlot(value, writes)
    if (this.#file && slot.length <= this.#slotBytes) {
      // After a failure it is the same slot again: the other one is good.
      const next = otherThan(this.#newest)
      await this.#file.write(slot, next * this.#slotBytes)
      this.#newest = next
      this.#isSynced = false
    } else await this.#make(slot)
    this.#writes = writes
    this.#value = Buffer.from(value)
  }

  /** Makes the file with room for the value and twice as much, all of it taken from the disk now. */
  async #make(slot: Buffer): Promise<void> {
    const wanted = slot.length > this.#slotBytesMin ? Math.ceil((2 * slot.length) / pageBytes) * pageBytes : 0
    const slotBytes = Math.min(Math.max(this.#slotBytesMin, wanted), slotBytesMax)
    const bytes = Buffer.alloc(2 * slotBytes)
    slot.copy(bytes)
    try {
      await writeFileDurably(this.#path, bytes, this.#files)
    } catch (error) {
      // It may bear the name already: what is open would be a file without one.
      await this.close()
      await this.#open().catch(() => undefined)
      this.#isNameSynced = false
      throw error
    }
    this.#isNameSynced = true
    await this.close()
    this.#file = await this.#files.open(this.#path, 'update')
    this.#newest = 0
    this.#isSynced = true
    this.#slotBytes = slotBytes
  }

  /** @throws Error of the file system; what was written last may then be gone after a power failure */
  async sync(): Promise<void> {
    try {
      await this.#file?.datasync()
      if (!this.#isNameSynced) await this.#files.syncDirectory(dirname(this.#path))
      this.#isNameSynced = true
      this.#isSynced = true
    } catch (error) {
      // What was written may never reach the disk: the next write has to spare the other slot.
      if (!this.#isSynced) this.#newest = otherThan(this.#newest)
      this.#isSynced = true
      throw error
    }
  }

  /** Idempotent; a later `write` makes the file anew. */
  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close().catch(() => undefined)
  }
}

function otherThan(slot: 0 | 1): 0 | 1 {
  return slot === 0 ? 1 : 0
}

function encodeSlot(value: Uint8Array, writes: bigint): Buffer {
  const slot = Buffer.alloc(headerBytes + value.length)
  slot.writeUInt32BE(value.length, 4)
  slot.writeBigUInt64BE(writes, 8)
  slot.set(value, headerBytes)
  slot.writeUInt32BE(crc32(slot.subarray(4)), 0)
  return slot
}

function readSlot(bytes: Buffer, offset: number): Slot | undefined {
  if (bytes.length < offset + headerBytes) return undefined
  const end = offset + headerBytes + bytes.readUInt32BE(offset + 4)
  const writes = bytes.readBigUInt64BE(offset + 8)
  if (end > bytes.length || writes === 0n) return undefined
  if (crc32(bytes.subarray(offset + 4, end)) !== bytes.readUInt32BE(offset)) return undefined
  return { writes, value: Buffer.from(bytes.subarray(offset + headerBytes, end)) }
}
