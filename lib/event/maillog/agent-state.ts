/**
 * What the agent keeps on disk beside the events: how far each log was read, and what the log's state machine knows.
 *
 * Two files that are never mixed up: `cursor` says up to where events were taken over (so does every record of pending
 * events; the later one counts), `queue-ids` holds the state machine as it stood at an earlier place. After a crash the log
 * is read again from there, without reporting anything up to the cursor. Each file carries its own checksum; one that is
 * damaged is set aside, and the log is read again from its beginning, the oldest rotation first.
 */
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { writeFileDurably } from '../../durable/durable-file.ts'
import type { SourcePosition } from './log-source.ts'

export type Positions = Readonly<Record<string, SourcePosition>>

export interface MapState {
  readonly positions: Positions
  /** What the state machine's `restore` takes. */
  readonly lines: readonly string[]
}

export interface SavedState {
  /** Up to where events were taken over. */
  readonly cursor: Positions
  readonly map: MapState | undefined
  /** Something that was kept here is lost. */
  readonly damaged: boolean
}

const version = 1

export class AgentState {
  readonly #dir: string
  readonly #onDamage: (file: string, reason: string) => void

  /** @param onDamage told of a file that was set aside */
  constructor(dir: string, onDamage: (file: string, reason: string) => void) {
    this.#dir = dir
    this.#onDamage = onDamage
  }

  /** Never fails: what can't be read counts as not there. */
  async load(): Promise<SavedState> {
    const cursor = await this.#read('cursor')
    const map = await this.#read('queue-ids')
    return {
      cursor: typeof cursor === 'object' ? cursor.positions : {},
      map: typeof map === 'object' ? map : undefined,
      damaged: cursor === 'damaged' || map === 'damaged',
    }
  }

  /** @throws Error of the file system; the old content is then still there */
  async saveCursor(positions: Positions): Promise<void> {
    await writeFileDurably(join(this.#dir, 'cursor'), encode(positions, []))
  }

  /** @throws Error of the file system; the old content is then still there */
  async saveMap(positions: Positions, lines: Iterable<string>): Promise<void> {
    await writeFileDurably(join(this.#dir, 'queue-ids'), encode(positions, lines))
  }

  async #read(name: string): Promise<MapState | 'absent' | 'damaged'> {
    const path = join(this.#dir, name)
    let content
    try {
      content = await readFile(path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return 'absent'
      this.#onDamage(path, `can't be read (${code})`)
      return 'damaged'
    }
    try {
      return decode(content)
    } catch (error) {
      this.#onDamage(path, (error as Error).message)
      await rename(path, `${path}.corrupt-${Date.now()}`).catch(() => undefined)
      return 'damaged'
    }
  }
}

/** A header of JSON, the lines, and the CRC-32 of all before it. */
function encode(positions: Positions, lines: Iterable<string>): Buffer {
  const parts: Buffer[] = [Buffer.from(`${JSON.stringify({ version, positions })}\n`)]
  let group: string[] = []
  for (const line of lines) {
    group.push(line)
    if (group.length < 1000) continue
    parts.push(Buffer.from(`${group.join('\n')}\n`))
    group = []
  }
  if (group.length > 0) parts.push(Buffer.from(`${group.join('\n')}\n`))
  let sum = 0
  for (const part of parts) sum = crc32(part, sum)
  parts.push(Buffer.from(`crc32 ${sum.toString(16).padStart(8, '0')}\n`))
  return Buffer.concat(parts)
}

function decode(content: Buffer): MapState {
  const sumBytes = 'crc32 01234567\n'.length
  const body = content.subarray(0, Math.max(0, content.length - sumBytes))
  const sum = content.subarray(body.length).toString('latin1')
  if (sum !== `crc32 ${crc32(body).toString(16).padStart(8, '0')}\n`) throw new Error('its checksum is wrong')
  const [header = '', ...lines] = body.toString('utf8').split('\n').slice(0, -1)
  const { version: found, positions } = JSON.parse(header) as { version?: unknown; positions?: Positions }
  if (found !== version || positions === undefined) throw new Error(`it has version ${String(found)}, not ${version}`)
  return { positions, lines }
}
