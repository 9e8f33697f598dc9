/** Lines from a stream that can't be read twice: standard input, or the output of a child process. */
import type { Readable } from 'node:stream'
import { lineBytesMax, type LogChunk, type LogSource, type SourceEvents } from './log-source.ts'

/** Bytes that are taken from the stream before they are asked for. */
const waitingBytesMax = 1 << 20

export class StreamSource implements LogSource {
  readonly id: string
  readonly #stream: Readable
  readonly #events: SourceEvents
  readonly #nowMs: () => number
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** A line whose end has not come yet. */
  #rest = Buffer.alloc(0)
  #skipping = false
  #streamEnded = false
  #lines = 0

  constructor(id: string, stream: Readable, events: SourceEvents, nowMs: () => number = Date.now) {
    this.id = id
    this.#stream = stream
    this.#events = events
    this.#nowMs = nowMs
    stream.on('data', (chunk: Buffer) => {
      this.#waiting.push(chunk)
      this.#waitingBytes += chunk.length
      // Whoever writes waits while we do.
      if (this.#waitingBytes >= waitingBytesMax) stream.pause()
    })
    stream.once('end', () => (this.#streamEnded = true))
    stream.once('close', () => (this.#streamEnded = true))
    stream.once('error', () => (this.#streamEnded = true))
  }

  get ended(): boolean {
    return this.#streamEnded && this.#waiting.length === 0 && this.#rest.length === 0
  }

  async next(): Promise<LogChunk | undefined> {
    if (this.#waiting.length === 0) {
      if (!this.#streamEnded || this.#rest.length === 0) return undefined
      const last = this.#rest.toString('latin1')
      this.#rest = Buffer.alloc(0)
      return this.#chunk(last)
    }
    const bytes = Buffer.concat([this.#rest, ...this.#waiting])
    this.#waiting = []
    this.#waitingBytes = 0
    this.#stream.resume()
    const from = this.#skipping ? bytes.indexOf(10) + 1 : 0
    if (this.#skipping && from === 0) {
      this.#events.skippedBytes(bytes.length, 'overlong')
      this.#rest = Buffer.alloc(0)
      return undefined
    }
    if (this.#skipping) this.#events.skippedBytes(from - 1, 'overlong')
    this.#skipping = false
    const end = bytes.lastIndexOf(10) + 1
    const rest = bytes.subarray(Math.max(end, from))
    let text = end > from ? bytes.toString('latin1', from, end) : ''
    if (rest.length > lineBytesMax) {
      // Cut like any line that is too long, without waiting for its end.
      text += `${rest.toString('latin1', 0, lineBytesMax)}\n`
      this.#events.skippedBytes(rest.length - lineBytesMax, 'overlong')
      this.#skipping = true
      this.#rest = Buffer.alloc(0)
    } else this.#rest = Buffer.from(rest)
    return text === '' ? undefined : this.#chunk(text)
  }

  async lagBytes(): Promise<number> {
    return this.#waitingBytes + this.#rest.length
  }

  async close(): Promise<void> {
    this.#stream.destroy()
  }

  #chunk(text: string): LogChunk {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#lines++
    return { text, position: { lines: this.#lines, place: null }, replayed: false, latestMs: this.#nowMs() }
  }
}
