/** A log in a folder of its own, written and rotated by a test, and a source that follows it. */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { FileSource, type FileSourceOptions } from '../../lib/event/maillog/file-source.ts'
import type { Resume, SourceEvents, SourcePosition } from '../../lib/event/maillog/log-source.ts'
import { eachLine } from '../../lib/event/maillog/log-text.ts'

/** A first start. */
export const fresh: Resume = { from: undefined, through: undefined, damaged: false }

/** A log that is written, rotated and followed. */
export class LogLab {
  readonly dir = mkdtempSync(join(tmpdir(), 'file-source-'))
  readonly path = join(this.dir, 'mail.log')
  readonly lines: string[] = []
  gaps = 0
  position: SourcePosition | undefined
  #source: FileSource | undefined
  #number = 0

  readonly events: SourceEvents = {
    trouble: () => undefined,
    gap: () => void this.gaps++,
    skippedBytes: () => undefined,
  }

  async open(resume: Resume = fresh, options: Partial<FileSourceOptions> = {}): Promise<void> {
    await this.#source?.close()
    this.#source = await FileSource.open(
      { path: this.path, rotateWaitMs: 0, fromBeginning: true, events: this.events, ...options },
      resume,
    )
  }

  /** Down and up again. */
  async restart(): Promise<void> {
    await this.open({ from: this.position, through: this.position, damaged: false })
  }

  /** Reads until nothing comes any more. To leave an empty file is a step that yields nothing, and up to 9 may follow each other. */
  async drain(): Promise<void> {
    for (let idle = 0; idle < 14;) {
      const chunk = await this.#source!.next()
      if (!chunk) {
        idle++
        continue
      }
      idle = 0
      this.position = chunk.position
      if (!chunk.replayed) eachLine(chunk.text, line => this.lines.push(line))
    }
  }

  /** Distinct lines, for files are told apart by how they begin. */
  write(count: number): void {
    for (let line = 0; line < count; line++)
      appendFileSync(this.path, `${this.#number++} ${'x'.repeat(this.#number % 90)}\n`)
  }

  get written(): string[] {
    return Array.from({ length: this.#number }, (_, index) => `${index} ${'x'.repeat((index + 1) % 90)}`)
  }

  shift(): void {
    for (let number = 9; number > 0; number--) {
      for (const end of ['', '.gz']) {
        const from = `${this.path}.${number}${end}`
        if (existsSync(from)) renameSync(from, `${this.path}.${number + 1}${end}`)
      }
    }
  }

  rotate(how: 'create' | 'copytruncate' | 'compress'): void {
    if (!existsSync(this.path)) return
    this.shift()
    if (how === 'copytruncate') {
      copyFileSync(this.path, `${this.path}.1`)
      truncateSync(this.path)
      return
    }
    if (how === 'compress') {
      writeFileSync(`${this.path}.1.gz`, gzipSync(readFileSync(this.path)))
      rmSync(this.path)
    } else renameSync(this.path, `${this.path}.1`)
    writeFileSync(this.path, '')
  }

  async close(): Promise<void> {
    await this.#source?.close()
    rmSync(this.dir, { recursive: true })
  }
}
