/** Files that are nowhere but in memory, with what a real disk does at its worst: errors, and power failures. */
import type { FileSystem, OpenFile } from '../../lib/durable/file-system.ts'

interface MemoryFile {
  /** As the process sees it. */
  written: Buffer
  /** As it was when it was last made safe. */
  synced: Buffer
}

export type Operation =
  | 'open'
  | 'read'
  | 'write'
  | 'datasync'
  | 'truncate'
  | 'create'
  | 'rename'
  | 'unlink'
  | 'syncDirectory'

export class MemoryFileSystem {
  #names = new Map<string, MemoryFile>()
  /** Names as they were when the folder was last made safe. */
  #syncedNames = new Map<string, MemoryFile>()
  readonly #open = new Map<MemoryFile, number>()
  /** Decides whether an operation fails, and how. */
  fault: (operation: Operation, path: string) => 'ENOSPC' | 'EIO' | 'EMFILE' | undefined = () => undefined

  /** The content of a file; undefined when there is none. */
  get(path: string): Buffer | undefined {
    return this.#names.get(path)?.written
  }

  set(path: string, content: Buffer): void {
    const file = { written: content, synced: content }
    this.#names.set(path, file)
    this.#syncedNames.set(path, file)
  }

  paths(): string[] {
    return [...this.#names.keys()].toSorted()
  }

  /** Bytes of files that have no name any more but are open: a real disk does not give their space back. */
  get unlinkedBytes(): number {
    const named = new Set(this.#names.values())
    return [...this.#open.keys()].filter(file => !named.has(file)).reduce((sum, { written }) => sum + written.length, 0)
  }

  /**
   * What may be left after the power failed: what was not made safe is there, or not, or in part, as `random` (0 to 1)
   * decides.
   */
  crash(random: () => number): MemoryFileSystem {
    const left = new MemoryFileSystem()
    for (const path of new Set([...this.#names.keys(), ...this.#syncedNames.keys()])) {
      const now = this.#names.get(path)
      const before = this.#syncedNames.get(path)
      const file = now === before || random() < 0.5 ? now : before
      if (file) left.set(path, torn(file, random))
    }
    return left
  }

  /** What is left when only the process died. */
  survive(): MemoryFileSystem {
    const left = new MemoryFileSystem()
    for (const [path, file] of this.#names) left.set(path, Buffer.from(file.written))
    return left
  }

  readonly files: FileSystem = {
    open: async (path, how) => {
      let file = this.#names.get(path)
      if (how === 'create') {
        this.#check('create', path)
        file = { written: Buffer.alloc(0), synced: Buffer.alloc(0) }
        this.#names.set(path, file)
      } else this.#check('open', path)
      if (!file) throw failure('ENOENT')
      return this.#opened(path, file)
    },
    list: async dir => this.paths().map(path => path.slice(dir.length + 1)),
    rename: async (from, to) => {
      this.#check('rename', from)
      const file = this.#names.get(from)
      if (!file) throw failure('ENOENT')
      this.#names.delete(from)
      this.#names.set(to, file)
    },
    unlink: async path => {
      this.#check('unlink', path)
      if (!this.#names.delete(path)) throw failure('ENOENT')
    },
    makeDirectory: async () => undefined,
    syncDirectory: async dir => {
      this.#check('syncDirectory', dir)
      this.#syncedNames = new Map(this.#names)
    },
  }

  #opened(path: string, file: MemoryFile): OpenFile {
    this.#open.set(file, (this.#open.get(file) ?? 0) + 1)
    return {
      read: async (into, position) => {
        this.#check('read', path)
        return file.written.copy(into, 0, position)
      },
      write: async (bytes, position) => {
        const fault = this.fault('write', path)
        // A full disk takes a part and only then says so.
        const length = fault === undefined ? bytes.length : Math.floor(bytes.length / 2)
        const content = Buffer.alloc(Math.max(file.written.length, position + length))
        file.written.copy(content)
        content.set(bytes.subarray(0, length), position)
        file.written = content
        if (fault) throw failure(fault)
      },
      size: async () => file.written.length,
      truncate: async length => {
        this.#check('truncate', path)
        file.written = Buffer.from(file.written.subarray(0, length))
      },
      datasync: async () => {
        const fault = this.fault('datasync', path)
        if (fault) {
          // The kernel may have dropped the pages that it could not write.
          file.written = file.synced
          throw failure(fault)
        }
        file.synced = file.written
      },
      close: async () => {
        const others = this.#open.get(file)! - 1
        if (others > 0) this.#open.set(file, others)
        else this.#open.delete(file)
      },
    }
  }

  #check(operation: Operation, path: string): void {
    const fault = this.fault(operation, path)
    if (fault) throw failure(fault)
  }
}

/** A file of which only a part was made safe. */
function torn({ written, synced }: MemoryFile, random: () => number): Buffer {
  if (written === synced) return Buffer.from(written)
  const content = Buffer.from(written)
  // Changed bytes up to some place have arrived, behind it the old ones or, where there were none, nothing or zeros.
  let same = 0
  while (same < Math.min(written.length, synced.length) && written[same] === synced[same]) same++
  const cut = same + Math.floor(random() * (Math.max(written.length, synced.length) - same + 1))
  if (cut < content.length) content.fill(0, cut)
  synced.subarray(0, content.length).copy(content, Math.min(cut, content.length), Math.min(cut, synced.length))
  const keepsLength = random() < 0.5
  return keepsLength ? content : content.subarray(0, Math.max(Math.min(cut, content.length), synced.length))
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code })
}
