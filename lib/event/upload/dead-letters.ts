/**
 * Where events go that can't be sent: NDJSON files that people read and `feeder --replay` sends again.
 *
 * One file a day and process, appended and synced before the event leaves the queue. Bounded: when the folder is full
 * nothing is thrown away, `append` fails and the event stays where it is.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../../process/make-folder.ts'
import { fileSystem } from '../../durable/file-system.ts'

export interface DeadLetter {
  /** Why it can't be sent. */
  readonly reason: string
  /** The event as it stood in the queue. */
  readonly raw: string
}

/** The folder has reached its bound. Its message says what is; what to do is the process's to say. */
export class DeadLettersFull extends Error {
  override readonly name = 'DeadLettersFull'
}

const suffix = '.ndjson'

export class DeadLetters {
  readonly #dir: string
  readonly #bytesMax: number
  readonly #writer: string
  /** Appends go one after the other. */
  #last: Promise<void> = Promise.resolve()
  /** The file that is known to be in the folder for good. */
  #syncedName = ''

  private constructor(dir: string, bytesMax: number, writer: string) {
    this.#dir = dir
    this.#bytesMax = bytesMax
    this.#writer = writer.replaceAll(/[^\w.-]/g, '_')
  }

  /**
   * @param bytesMax bound of all dead letters in the folder
   * @param writer keeps several processes out of each other's files
   * @throws Error when the folder can't be made
   */
  static async open(dir: string, bytesMax: number, writer: string): Promise<DeadLetters> {
    makeFolder(dir, 0o750)
    return new DeadLetters(dir, bytesMax, writer)
  }

  /**
   * Settles when they are on the disk.
   * @throws {DeadLettersFull}
   */
  append(letters: readonly DeadLetter[], nowMs: number): Promise<void> {
    const turn = this.#last.then(() => this.#write(letters, nowMs))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #write(letters: readonly DeadLetter[], nowMs: number): Promise<void> {
    const at = new Date(nowMs).toISOString()
    const bytes = Buffer.from(letters.map(letter => letterLine(letter, at)).join(''))
    // Asked each time: other processes write here, and people tidy up.
    const used = await this.#bytesUsed()
    if (used + bytes.length > this.#bytesMax) {
      throw new DeadLettersFull(`${this.#dir} holds ${used} bytes of dead letters, ${this.#bytesMax} are allowed`)
    }
    const name = `dead-letters-${at.slice(0, 10)}.${this.#writer}${suffix}`
    const { O_APPEND, O_CREAT, O_RDWR } = constants
    const file = await open(join(this.#dir, name), O_APPEND | O_CREAT | O_RDWR, 0o640)
    try {
      const { size } = await file.stat()
      try {
        // A process that was killed in the midst of its write left half a line.
        if (size > 0 && !(await endsLine(file, size))) await file.appendFile('\n')
        await file.appendFile(bytes)
        await file.datasync()
        // A new file is in the folder for good only then; whoever made it may have been killed before.
        if (size === 0 || name !== this.#syncedName) await fileSystem.syncDirectory(this.#dir)
        this.#syncedName = name
      } catch (error) {
        // Half a line would spoil the next one.
        await file.truncate(size).catch(() => undefined)
        throw error
      }
    } finally {
      await file.close()
    }
  }

  async #bytesUsed(): Promise<number> {
    const names = (await readdir(this.#dir)).filter(name => name.endsWith(suffix))
    const sizes = await Promise.all(
      names.map(name =>
        stat(join(this.#dir, name)).then(
          found => found.size,
          () => 0,
        ),
      ),
    )
    return sizes.reduce((sum, size) => sum + size, 0)
  }
}

async function endsLine(file: FileHandle, size: number): Promise<boolean> {
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
  return buffer[0] === 0x0a
}

function letterLine({ reason, raw }: DeadLetter, at: string): string {
  const event = jsonObject(raw)
  const line = event && jsonText({ at, reason, event })
  return `${line ?? JSON.stringify({ at, reason, raw })}\n`
}

/** Undefined for what is nested too deep: it can be parsed all the same. */
function jsonText(value: object): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** What stood in the queue, out of a line of a dead letter file; undefined for a line that is none. */
export function readDeadLetter(line: string): { readonly raw: string; readonly reason: string } | undefined {
  const letter = jsonObject(line)
  if (letter === undefined) return undefined
  const { event, raw, reason } = letter
  if (typeof reason !== 'string') return undefined
  if (typeof raw === 'string') return { raw, reason }
  const text = typeof event === 'object' && event !== null ? jsonText(event) : undefined
  return text === undefined ? undefined : { raw: text, reason }
}

function jsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
