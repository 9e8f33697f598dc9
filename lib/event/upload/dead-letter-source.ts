/** A dead letter file as a source of events, for `feeder --replay`. */
import { type FileHandle, open } from 'node:fs/promises'
import { notRegular, readNow } from '../../process/named-file.ts'
import { readEvent } from '../read-event.ts'
import { readDeadLetter } from './dead-letters.ts'
import type { EventSource, SourceEntry } from './event-source.ts'
import { type Line, LineSplitter } from './line-splitter.ts'

/** Longest line: an event that fills a request of 5 MB, with room for its escapes. */
const lineBytesMax = 8_000_000
/** What is given of a longer one. */
const excerptBytes = 1_000
/** Lines handed out at once, in bytes; a single one may be longer. */
const takeBytesMax = 4_000_000
const readBytes = 65_536

/**
 * Lines that are no dead letters come as unreadable entries, and so go back to the dead letters; of lines that are too
 * long these get the beginning.
 */
export class DeadLetterSource implements EventSource {
  readonly #file: FileHandle
  readonly #size: number
  readonly #splitter = new LineSplitter(lineBytesMax)
  /** Read and not taken yet, from `#next` on. */
  #lines: Line[] = []
  #next = 0
  #position = 0
  #line = 0
  #isRead = false
  #closed: Promise<void> | undefined

  private constructor(file: FileHandle, size: number) {
    this.#file = file
    this.#size = size
  }

  /**
   * Reads as much as the file holds now: what is put back to the dead letters meanwhile is not read again.
   * @throws Error with a code when there is no such file
   */
  static async open(path: string): Promise<DeadLetterSource> {
    const file = await open(path, readNow)
    try {
      const found = await file.stat()
      if (!found.isFile()) throw notRegular()
      return new DeadLetterSource(file, found.size)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  ended(): boolean {
    return this.#isRead && this.#next >= this.#lines.length
  }

  async take(max: number): Promise<readonly SourceEntry[]> {
    const entries: SourceEntry[] = []
    let bytes = 0
    while (entries.length < max && bytes < takeBytesMax) {
      const line = this.#lines[this.#next]
      if (line === undefined) {
        if (this.#isRead) break
        try {
          await this.#read()
        } catch (error) {
          // What was read before must not be lost with it; the next call fails again, or reads on.
          if (entries.length === 0) throw error
          break
        }
        continue
      }
      this.#next += 1
      this.#line += 1
      bytes += line.bytes.length
      const entry = sourceEntry(line, this.#line)
      if (entry) entries.push(entry)
    }
    return entries
  }

  async done(): Promise<void> {
    // The file is left as it is: what was sent twice is one event, for it has one id.
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#file.close())
  }

  /** Fills `#lines`, perhaps with none. After a failure it goes on where it was. */
  async #read(): Promise<void> {
    // New memory each time, for lines are not copied out of it.
    const wanted = Buffer.allocUnsafeSlow(Math.min(readBytes, this.#size - this.#position))
    const { bytesRead } =
      wanted.length === 0 ? { bytesRead: 0 } : await this.#file.read(wanted, 0, wanted.length, this.#position)
    this.#position += bytesRead
    this.#next = 0
    this.#lines = bytesRead === 0 ? this.#splitter.end() : this.#splitter.write(wanted.subarray(0, bytesRead))
    this.#isRead = bytesRead === 0
  }
}

/** Undefined for an empty line. */
function sourceEntry({ bytes, isWhole }: Line, line: number): SourceEntry | undefined {
  const place = { partition: -1, entryId: String(line), isRepeat: false }
  if (!isWhole) {
    const fault = `a line of more than ${lineBytesMax} bytes`
    return { ...place, event: undefined, fault, raw: bytes.toString('utf8', 0, excerptBytes) }
  }
  const text = bytes.toString()
  if (text.trim() === '') return undefined
  const raw = readDeadLetter(text)?.raw ?? text
  const { event, ...flaw } = readEvent(raw)
  return { ...place, event, ...flaw, raw }
}
