/** A file that takes what is written to it for debugging: readable by its owner alone, appended to, never in the way. */
import { createWriteStream, type WriteStream } from 'node:fs'
import { StartError } from '../../process/start-error.ts'

/** Held back at most while the disk is slow, in bytes; what comes beyond is left out. */
const pendingBytesMax = 64 * 2 ** 20

export class DebugFile {
  readonly #option: string
  readonly #file: string
  #stream: WriteStream

  private constructor(option: string, file: string, stream: WriteStream) {
    this.#option = option
    this.#file = file
    this.#stream = stream
  }

  /** @throws {StartError} when it can't be opened */
  static async open(option: string, file: string): Promise<DebugFile> {
    return new DebugFile(option, file, await openStream(option, file))
  }

  /**
   * Goes on in the file that has this name now, as after a rotation.
   * @throws {StartError} when it can't be opened; the old one stays in use
   */
  async reopen(): Promise<void> {
    const stream = await openStream(this.#option, this.#file)
    const old = this.#stream
    this.#stream = stream
    old.end()
  }

  write(pieces: readonly (Buffer | string)[]): void {
    if (this.#stream.writableLength > pendingBytesMax || this.#stream.destroyed) return
    this.#stream.cork()
    for (const piece of pieces) {
      if (typeof piece === 'string') this.#stream.write(piece, 'latin1')
      else this.#stream.write(piece)
    }
    this.#stream.uncork()
  }

  async close(): Promise<void> {
    if (this.#stream.destroyed) return
    await new Promise<void>(resolve => {
      this.#stream.once('close', () => resolve())
      this.#stream.end()
    })
  }
}

async function openStream(option: string, file: string): Promise<WriteStream> {
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 })
  await new Promise<void>((resolve, reject) => {
    stream.once('open', () => resolve())
    stream.once('error', error => reject(new StartError(`--${option} ${file}: ${error.message}`)))
  })
  // A full disk must not end a process that moves mail.
  stream.on('error', () => undefined)
  return stream
}
