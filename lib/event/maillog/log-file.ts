/** One file of a log, plain or compressed, and how it is recognised again after it was renamed, copied or compressed. */
import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'

/** How much of a file's beginning tells it from others, in bytes. */
export const headBytesMax = 1024

/** The beginning of a file: log lines begin with a time, so two files hardly ever begin alike. */
export interface FileHead {
  readonly bytes: number
  /** SHA-256 of that many bytes, 16 hexadecimal digits. */
  readonly hash: string
}

export interface FilePosition {
  readonly dev: string
  readonly ino: string
  /** Time of birth in nanoseconds: inode numbers are given again at once (ext4 in 49 of 49 tries). */
  readonly birth: string
  readonly head: FileHead
  /** End of the last complete line read, in bytes of the uncompressed file. */
  readonly offset: number
  /** When it was read, Unix ms. */
  readonly at: number
}

export function headOf(bytes: Uint8Array): FileHead {
  return { bytes: bytes.length, hash: hash('sha256', bytes).slice(0, 16) }
}

export type Compression = 'gz' | 'zst' | 'xz' | 'bz2'

/** By its name; undefined for a plain file. */
export function compressionOf(path: string): Compression | undefined {
  return /\.(gz|zst|xz|bz2)$/.exec(path)?.[1] as Compression | undefined
}

export interface LogFile {
  readonly path: string
  readonly compressed: boolean
  readonly identity: Pick<FilePosition, 'dev' | 'ino' | 'birth'>
  /** Size as opened or as last asked for; of a compressed file unknown: undefined. */
  size: () => Promise<number | undefined>
  /** When its content changed last, Unix ms. */
  modifiedMs: () => Promise<number>
  /** When its content or its names changed last: of a file that has none any more, not before the last was removed. Unix ms. */
  changedMs: () => Promise<number>
  /** Fills the buffer from a place; 0 at the end. Compressed files can only be read forwards. */
  read: (into: Buffer, position: number) => Promise<number>
  close: () => Promise<void>
}

/** @throws Error of the file system */
export async function openLogFile(path: string): Promise<LogFile> {
  const compression = compressionOf(path)
  const handle = await open(path, 'r')
  try {
    const stats = await handle.stat({ bigint: true })
    return compression ? compressed(path, handle, compression, stats) : plain(path, handle, stats)
  } catch (error) {
    await handle.close().catch(() => undefined)
    throw error
  }
}

export function identityOf(stats: BigIntStats): Pick<FilePosition, 'dev' | 'ino' | 'birth'> {
  return { dev: String(stats.dev), ino: String(stats.ino), birth: String(stats.birthtimeNs) }
}

/** Whether both name the same file, as far as its number and birth tell. */
export function sameFile(a: Pick<FilePosition, 'dev' | 'ino' | 'birth'>, b: typeof a): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.birth === b.birth
}

/** Whether the file at `path` begins as `head` says and is long enough for `offset`. False when it can't be read. */
export async function beginsWith(path: string, head: FileHead, offset: number): Promise<boolean> {
  let file
  try {
    file = await openLogFile(path)
    const size = await file.size()
    if (size !== undefined && size < offset) return false
    const bytes = Buffer.alloc(head.bytes)
    let length = 0
    while (length < bytes.length) {
      const read = await file.read(bytes.subarray(length), length)
      if (read === 0) return false
      length += read
    }
    return headOf(bytes).hash === head.hash
  } catch {
    return false
  } finally {
    await file?.close().catch(() => undefined)
  }
}

function plain(path: string, handle: FileHandle, stats: BigIntStats): LogFile {
  return {
    path,
    compressed: false,
    identity: identityOf(stats),
    size: async () => (await handle.stat()).size,
    modifiedMs: async () => (await handle.stat()).mtimeMs,
    changedMs: async () => (await handle.stat()).ctimeMs,
    read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    close: () => handle.close(),
  }
}

function compressed(path: string, handle: FileHandle, compression: Compression, stats: BigIntStats): LogFile {
  const stream = decompress(handle, compression)
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let rest = Buffer.alloc(0)
  // Bytes from `kept` on are in `rest`.
  let kept = 0
  return {
    path,
    compressed: true,
    identity: identityOf(stats),
    size: async () => undefined,
    modifiedMs: async () => Number(stats.mtimeNs) / 1e6,
    changedMs: async () => (await handle.stat()).ctimeMs,
    read: async (into, position) => {
      if (position < kept) throw new Error(`${path} can't be read backwards`)
      for (;;) {
        const skip = Math.min(position - kept, rest.length)
        rest = rest.subarray(skip)
        kept += skip
        // A full buffer where there is more, so that no line looks cut.
        if (kept === position && rest.length >= into.length) break
        const next = await chunks.next()
        if (next.done) break
        rest = Buffer.concat([rest, next.value])
      }
      return kept === position ? rest.copy(into) : 0
    },
    close: async () => {
      stream.destroy()
      await handle.close()
    },
  }
}

/** Reads the open file, whatever its name is by now. */
function decompress(handle: FileHandle, compression: Compression): Readable {
  if (compression === 'gz' || compression === 'zst') {
    const bytes = handle.createReadStream({ autoClose: false })
    // The iterator reports a failure.
    return pipeline(bytes, compression === 'gz' ? createGunzip() : createZstdDecompress(), () => undefined)
  }
  const child = spawn(compression === 'xz' ? 'xz' : 'bzip2', ['-dc'], { stdio: [handle.fd, 'pipe', 'ignore'] })
  const output = child.stdout!
  child.once('error', error => output.destroy(error))
  output.once('close', () => child.kill())
  return output
}
