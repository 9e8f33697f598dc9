/** What is asked of the file system by things that must last; handed in, so that tests can make it fail. */
import { chmod, open, readdir, rename, unlink, type FileHandle } from 'node:fs/promises'
import { makeFolder } from '../process/make-folder.ts'

export interface OpenFile {
  /** Bytes read; 0 at the end. */
  read: (into: Buffer, position: number) => Promise<number>
  /** Writes all of `bytes`. @throws Error with `code` ENOSPC and the like; part of it may then be in the file */
  write: (bytes: Uint8Array, position: number) => Promise<void>
  size: () => Promise<number>
  truncate: (length: number) => Promise<void>
  /** Settles when what was written would survive a power failure. */
  datasync: () => Promise<void>
  close: () => Promise<void>
}

export interface FileSystem {
  /** `create` makes a new file or empties one; `update` needs it to be there; mode 0600. */
  open: (path: string, how: 'create' | 'update' | 'read') => Promise<OpenFile>
  list: (dir: string) => Promise<string[]>
  rename: (from: string, to: string) => Promise<void>
  unlink: (path: string) => Promise<void>
  /** Makes folder and parents, mode 0700; no-op when it is there. */
  makeDirectory: (dir: string) => Promise<void>
  /** Settles when created, renamed and removed names in it would survive a power failure. */
  syncDirectory: (dir: string) => Promise<void>
}

const flags = { create: 'w+', update: 'r+', read: 'r' } as const

/** The file system of this machine. */
export const fileSystem: FileSystem = {
  open: async (path, how) => openFile(await openOwn(path, flags[how])),
  list: dir => readdir(dir),
  rename,
  unlink,
  makeDirectory: async dir => {
    makeFolder(dir, 0o700)
  },
  syncDirectory: async dir => {
    const handle = await open(dir, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

/** A file of this process's user whose rights were taken away is given them back. */
async function openOwn(path: string, flag: string): Promise<FileHandle> {
  try {
    return await open(path, flag, 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    await chmod(path, 0o600).catch(() => {
      throw error
    })
    return open(path, flag, 0o600)
  }
}

/** Whether an error says that a name stands for no file: nothing, a folder, a link to itself, a socket. */
export function isNoFile(error: unknown): boolean {
  return ['ENOENT', 'EISDIR', 'ELOOP', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')
}

function openFile(handle: FileHandle): OpenFile {
  return {
    read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.length;) {
        // On a full disk the first write is short and only the next one says why.
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      }
    },
    size: async () => (await handle.stat()).size,
    truncate: length => handle.truncate(length),
    datasync: () => handle.datasync(),
    close: () => handle.close(),
  }
}
