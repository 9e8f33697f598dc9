/**
 * A file for lines that can't be used, with the reason: one JSON object a line, `{at, reason, record}`. Bounded: when it
 * is full it becomes `FILE.1` and a new one is begun, so that the latest are there.
 */
import { appendFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolder } from '../../process/make-folder.ts'
import type { Logger } from '../../process/log.ts'
import type { RejectedLine } from './record-framer.ts'

/** Bytes of lines waiting to be written; when the disk is slower than that, further lines are only counted. */
const waitingBytesMax = 4e6

export class RejectedRecords {
  readonly #file: string
  readonly #bytesMax: number
  readonly #log: Logger
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #writing: Promise<void> | undefined
  #isBroken = false

  /** @param bytesMax of both files together; a line that does not fit into half of that is only counted */
  constructor(file: string, bytesMax: number, log: Logger) {
    this.#file = file
    this.#bytesMax = bytesMax
    this.#log = log
  }

  add(lines: readonly RejectedLine[], nowMs: number): void {
    const at = new Date(nowMs).toISOString()
    for (const { text, reason } of lines) {
      if (this.#waitingBytes >= waitingBytesMax) break
      const line = Buffer.from(`${JSON.stringify({ at, reason, record: text })}\n`)
      if (line.length > this.#bytesMax / 2) continue
      this.#waiting.push(line)
      this.#waitingBytes += line.length
    }
    if (this.#waiting.length > 0) this.#writing ??= this.#write().finally(() => (this.#writing = undefined))
  }

  /** Settles when everything added is written, or can't be. */
  async flush(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const bytes = this.#take()
      try {
        makeFolder(dirname(this.#file), 0o750)
        const size = await stat(this.#file).then(
          found => found.size,
          () => 0,
        )
        if (size > 0 && size + bytes.length > this.#bytesMax / 2) await rename(this.#file, `${this.#file}.1`)
        await appendFile(this.#file, bytes, { mode: 0o640 })
        this.#isBroken = false
      } catch (error) {
        if (!this.#isBroken) {
          this.#log.error(
            { file: this.#file, reason: (error as Error).message },
            'rejected records not written, only counted',
          )
        }
        this.#isBroken = true
      }
    }
  }

  /** As many of the lines that wait as one file holds. */
  #take(): Buffer {
    let count = 0
    let bytes = 0
    for (const { length } of this.#waiting) {
      if (bytes + length > this.#bytesMax / 2) break
      bytes += length
      count += 1
    }
    this.#waitingBytes -= bytes
    return Buffer.concat(this.#waiting.splice(0, count))
  }
}
