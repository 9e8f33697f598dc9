/** One file of a log, plain or compressed, and how it is recognised again after it was renamed, copied or compressed. */
import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { notRegular, readNow } from '../../process/named-file.ts'

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
function compressionOf(path: string): Compression | undefined {
  return /\.(gz|zst|xz|bz2)$/.exec(path)?.[1] as Compression | undefined
}

/** A compressed file that can't be unpacked: no later try will be better. */
export class DamagedFile extends Error {
  override readonly name = 'DamagedFile'
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

/** @throws Error of the file system; for what is no regular file that says so */
export async function openLogFile(path: string): Promise<LogFile> {
  const compression = compressionOf(path)
  const handle = await open(path, readNow)
  try {
    const stats = await handle.stat({ bigint: true })
    if (!stats.isFile()) throw notRegular()
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

/**
 * Whether the file at `path` begins as `head` says and is long enough for `offset`; `unreadable` when that can't be told at
 * the moment.
 */
export async function beginsWith(path: string, head: FileHead, offset: number): Promise<'yes' | 'no' | 'unreadable'> {
  let file
  try {
    file = await openLogFile(path)
    const size = await file.size()
    if (size !== undefined && size < offset) return 'no'
    const bytes = Buffer.alloc(head.bytes)
    let length = 0
    while (length < bytes.length) {
      const read = await file.read(bytes.subarray(length), length)
      if (read === 0) return 'no'
      length += read
    }
    return headOf(bytes).hash === head.hash ? 'yes' : 'no'
  } catch (error) {
    const isOther = error instanceof DamagedFile || (error as NodeJS.ErrnoException).code === 'ENOENT'
    return isOther ? 'no' : 'unreadable'
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
  const chunks = decompressed(path, handle, compression)
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
        if (next.done === true) break
        rest = Buffer.concat([rest, next.value])
      }
      return kept === position ? rest.copy(into) : 0
    },
    close: async () => {
      await chunks.return(undefined)
      await handle.close()
    },
  }
}

/** Reads the open file, whatever its name is by now. @throws {DamagedFile} where it ends too early or is damaged */
async function* decompressed(path: string, handle: FileHandle, compression: Compression): AsyncGenerator<Buffer> {
  if (compression === 'gz' || compression === 'zst') {
    const unpack = compression === 'gz' ? createGunzip() : createZstdDecompress()
    // The iterator reports a failure.
    const stream = pipeline(handle.createReadStream({ autoClose: false }), unpack, () => undefined)
    try {
      yield* stream as AsyncIterable<Buffer>
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException
      throw /^Z(?:STD)?_/.test(code) ? new DamagedFile(`${path} is damaged (${message})`) : error
    }
    return
  }
  const tool = compression === 'xz' ? 'xz' : 'bzip2'
  const child = spawn(tool, ['-dc'], { stdio: [handle.fd, 'pipe', 'ignore'] })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve).once('error', reject)
  })
  // Awaited below; until then a failure has a place to go.
  ended.catch(() => undefined)
  try {
    yield* child.stdout as AsyncIterable<Buffer>
    if ((await ended) !== 0) throw new DamagedFile(`${path} is damaged (${tool} could not read it)`)
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? new DamagedFile(`${tool} is not installed`) : error
  } finally {
    child.kill()
  }
}
