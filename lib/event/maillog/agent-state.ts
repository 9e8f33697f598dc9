/**
 * What the agent keeps on disk beside the events: how far each log was read, and what the log's state machine knows.
 *
 * Two files that are never mixed up: `cursor` says up to where events were taken over (so does every record of pending
 * events; the later one counts), `queue-ids` holds the state machine as it stood at an earlier place. After a crash the log
 * is read again from there, without reporting anything up to the cursor. The cursor is written in place, so that it can be
 * saved on a full disk: what lets go of events may need no space. Each file carries its own checksums; one that is damaged
 * is set aside as `*.corrupt`, and the log is read again: from where the state machine stood, without it from its beginning,
 * the oldest rotation first.
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { writeFileDurably } from '../../durable/durable-file.ts'
import { fileContent } from '../../durable/file-content.ts'
import { fileSystem } from '../../durable/file-system.ts'
import { SlotFile } from '../../durable/slot-file.ts'
import type { SourcePosition } from './log-source.ts'

export type Positions = Readonly<Record<string, SourcePosition>>

export interface MapState {
  readonly positions: Positions
  /** What the state machine's `restore` takes; once. */
  readonly lines: Iterable<string>
}

export interface Cursor {
  /** Up to where events were taken over. */
  readonly read: Positions
  /** Up to where events were taken over and let go of: what is lost of pending events came after it. */
  readonly sent: Positions
  /** The newest record of pending events by then: where it is missing, events are lost that `read` takes for safe. */
  readonly lastSeq: number
}

export interface SavedState {
  readonly cursor: Cursor
  readonly map: MapState | undefined
  /** Something that was kept here is lost. */
  readonly damaged: boolean
}

const version = 1
const partBytes = 256 << 10
const nothing: Cursor = { read: {}, sent: {}, lastSeq: 0 }
/** Room for the cursor of some fifty logs; of more it makes a larger file. */
const cursorBytes = 15 << 10

export class AgentState {
  readonly #cursorPath: string
  readonly #mapPath: string
  readonly #onDamage: (file: string, reason: string) => void
  #cursor: SlotFile | undefined

  /** @param onDamage told of a file that was set aside */
  constructor(dir: string, onDamage: (file: string, reason: string) => void) {
    this.#cursorPath = join(dir, 'cursor')
    this.#mapPath = join(dir, 'queue-ids')
    this.#onDamage = onDamage
  }

  /** Never fails: what can't be read counts as not there. */
  async load(): Promise<SavedState> {
    const cursor = await this.#loadCursor()
    const map = await this.#loadMap()
    return {
      cursor: cursor === 'damaged' ? nothing : cursor,
      map: typeof map === 'object' ? map : undefined,
      damaged: cursor === 'damaged' || map === 'damaged',
    }
  }

  /** Needs no space on the disk. @throws Error of the file system; the old content is then still there */
  async saveCursor({ read, sent, lastSeq }: Cursor): Promise<void> {
    this.#cursor ??= await SlotFile.open(this.#cursorPath, cursorBytes)
    await this.#cursor.write(Buffer.from(JSON.stringify({ version, positions: read, sent, lastSeq })))
    await this.#cursor.sync()
  }

  /**
   * @param lines what they come from must not change until this settles
   * @throws Error of the file system; the old content is then still there
   */
  async saveMap(positions: Positions, lines: Iterable<string>): Promise<void> {
    await writeFileDurably(this.#mapPath, encode(positions, lines))
  }

  /** For a state machine that can't take up what was saved of it. */
  async setMapAside(reason: string): Promise<void> {
    await this.#setAside(this.#mapPath, reason)
  }

  async close(): Promise<void> {
    await this.#cursor?.close()
  }

  async #loadCursor(): Promise<Cursor | 'damaged'> {
    let reason = 'its checksum is wrong'
    try {
      this.#cursor = await SlotFile.open(this.#cursorPath, cursorBytes)
      const { value, isDamaged } = this.#cursor
      if (value) {
        const { positions, sent = {}, lastSeq = 0 } = readHeader(value.toString())
        return { read: positions, sent, lastSeq }
      }
      if (!isDamaged) return nothing
    } catch (error) {
      reason = reasonOf(error)
    }
    await this.#cursor?.close()
    this.#cursor = undefined
    await this.#setAside(this.#cursorPath, reason)
    return 'damaged'
  }

  async #loadMap(): Promise<MapState | 'absent' | 'damaged'> {
    try {
      return decode(await contentOf(this.#mapPath))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent'
      await this.#setAside(this.#mapPath, reasonOf(error))
      return 'damaged'
    }
  }

  /** Takes it out of the way of what is written next, for people to look at; the one set aside before goes. */
  async #setAside(path: string, reason: string): Promise<void> {
    this.#onDamage(path, reason)
    await fileSystem.rename(path, `${path}.corrupt`).catch(() => undefined)
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === undefined ? message : `can't be read: ${code}`
}

async function contentOf(path: string): Promise<Buffer> {
  const file = await fileSystem.open(path, 'read')
  try {
    return await fileContent(file, Number.MAX_SAFE_INTEGER)
  } finally {
    await file.close()
  }
}

/**
 * A header of JSON, the lines, and the CRC-32 of all before it. In parts, all in one buffer that is used again: the whole
 * would take as much memory as what is saved.
 */
function* encode(positions: Positions, lines: Iterable<string>): Generator<Buffer> {
  let buffer = Buffer.allocUnsafeSlow(partBytes)
  let length = 0
  let sum = 0
  const part = () => {
    const bytes = buffer.subarray(0, length)
    sum = crc32(bytes, sum)
    length = 0
    return bytes
  }
  const append = (line: string) => (length += buffer.write(`${line}\n`, length))
  for (const line of headed(JSON.stringify({ version, positions }), lines)) {
    // A character takes at most three bytes.
    const bytesMax = 3 * line.length + 1
    if (length + bytesMax > buffer.length) yield part()
    if (bytesMax > buffer.length) buffer = Buffer.allocUnsafeSlow(bytesMax)
    append(line)
  }
  yield part()
  yield Buffer.from(`crc32 ${sum.toString(16).padStart(8, '0')}\n`)
}

function* headed(header: string, lines: Iterable<string>): Generator<string> {
  yield header
  yield* lines
}

function decode(content: Buffer): MapState {
  const sumBytes = 'crc32 01234567\n'.length
  const body = content.subarray(0, Math.max(0, content.length - sumBytes))
  const sum = content.subarray(body.length).toString('latin1')
  if (sum !== `crc32 ${crc32(body).toString(16).padStart(8, '0')}\n`) throw new Error('its checksum is wrong')
  const lines = linesOf(body)
  return { positions: readHeader(lines.next().value ?? '').positions, lines }
}

/** One at a time: all of them may be more than the longest string, and take twice the memory of what is made of them. */
function* linesOf(body: Buffer): Generator<string, undefined> {
  let from = 0
  for (let end = body.indexOf(10); end !== -1; end = body.indexOf(10, from)) {
    yield body.toString('utf8', from, end)
    from = end + 1
  }
  return undefined
}

interface Header {
  readonly positions: Positions
  readonly sent?: Positions
  readonly lastSeq?: number
}

function readHeader(text: string): Header {
  const header = JSON.parse(text) as Partial<Header> & { version?: unknown }
  const { version: found, positions } = header
  if (found !== version || positions === undefined) throw new Error(`it has version ${String(found)}, not ${version}`)
  return { ...header, positions }
}
