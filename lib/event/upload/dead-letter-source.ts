/** A dead letter file as a source of events, for `feeder --replay`. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { TrackingEvent } from '../event.ts'
import { readDeadLetter } from './dead-letters.ts'
import type { EventSource, SourceEntry } from './event-source.ts'

/** Lines that are no dead letters come as unreadable entries, and so go back to the dead letters. */
export class DeadLetterSource implements EventSource {
  readonly #lines: AsyncIterator<string>
  #line = 0
  #ended = false

  private constructor(lines: AsyncIterator<string>) {
    this.#lines = lines
  }

  /** Reads as much as the file holds now: what is put back to the dead letters meanwhile is not read again. */
  static async open(file: string): Promise<DeadLetterSource> {
    const { size } = await stat(file)
    const input = size === 0 ? Readable.from([]) : createReadStream(file, { end: size - 1, encoding: 'utf8' })
    return new DeadLetterSource(createInterface({ input, crlfDelay: Infinity })[Symbol.asyncIterator]())
  }

  ended(): boolean {
    return this.#ended
  }

  async take(max: number): Promise<readonly SourceEntry[]> {
    const entries: SourceEntry[] = []
    while (entries.length < max && !this.#ended) {
      const { value, done } = await this.#lines.next()
      if (done === true) {
        this.#ended = true
        break
      }
      this.#line += 1
      if (value.trim() === '') continue
      const raw = readDeadLetter(value)?.raw ?? value
      entries.push({ partition: -1, entryId: String(this.#line), event: trackingEvent(raw), raw, deliveries: 1 })
    }
    return entries
  }

  async done(): Promise<void> {
    // The file is left as it is: what was sent twice is one event, for it has one id.
  }

  close(): void {
    void this.#lines.return?.()
  }
}

function trackingEvent(raw: string): TrackingEvent | undefined {
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { id, type, messageId, at } = value as Record<string, unknown>
  const sound =
    typeof id === 'string' && typeof type === 'string' && typeof messageId === 'string' && typeof at === 'number'
  return sound ? (value as TrackingEvent) : undefined
}
