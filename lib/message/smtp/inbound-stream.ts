/**
 * Cuts what a client sends into command lines and messages. Stands in for smtp-server's stream, which reads the message
 * through a stream of its own, unstuffs after a bare LF only sometimes, and can't tell whether a client has sent more
 * than it may.
 */
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { DataDecoder } from './data-decoder.ts'

/** Takes a message as it arrives. */
export interface MessageSink {
  /** Pieces of the message, CRLF line ends, dots unstuffed. A promise asks to wait before more is given. */
  content: (pieces: readonly Buffer[]) => void | Promise<void>
  /** The final dot was read. */
  end: (stray: boolean) => void
}

export interface InboundHooks {
  /** A command line without its line end; the callback asks for the next one. */
  readonly command: (line: Buffer, next: () => void) => void
  /** The line is longer than allowed; nothing more will be read. */
  readonly tooLong: () => void
  /** Longest line now. */
  readonly lineBytesMax: () => number
}

export class InboundStream extends SMTPStream {
  readonly #hooks: InboundHooks
  #chunk: Buffer = Buffer.alloc(0)
  #at = 0
  #next: (() => void) | undefined
  #message: { readonly sink: MessageSink; readonly decoder: DataDecoder } | undefined
  #running = false
  #again = false
  /** Since when part of a command line is held, `performance.now()`; 0 when none is. */
  partialSince = 0

  constructor(hooks: InboundHooks) {
    super()
    this.#hooks = hooks
  }

  /** Whether the client has sent something after the command that is being handled. */
  get more(): boolean {
    return this.#at < this.#chunk.length
  }

  /** From the next byte on this is a message, until its end; then nothing is read until `resume`. */
  receive(sink: MessageSink): void {
    this.#message = { sink, decoder: new DataDecoder() }
  }

  /** Goes on with commands after a message was answered. */
  resume(): void {
    this.#run()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding | 'buffer', next: () => void): void {
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk
    this.#at = 0
    this.#next = next
    this.#run()
  }

  #run(): void {
    // Handlers that answer at once call back before they return: loop instead of growing the stack.
    if (this.#running) {
      this.#again = true
      return
    }
    this.#running = true
    do {
      this.#again = false
      this.#step()
    } while (this.#again)
    this.#running = false
  }

  #done(): void {
    const next = this.#next
    this.#next = undefined
    next?.()
  }

  #step(): void {
    if (this.isClosed) {
      this.#chunk = Buffer.alloc(0)
      this.#at = 0
      this.#done()
    } else if (this.#message) this.#readMessage(this.#message)
    else this.#readCommand()
  }

  #readCommand(): void {
    const end = this.#chunk.indexOf(10, this.#at)
    const limit = this.#hooks.lineBytesMax()
    if ((end === -1 ? this.#chunk.length : end) - this.#at > limit) {
      this.isClosed = true
      this.#hooks.tooLong()
      this.#step()
      return
    }
    if (end === -1) {
      this.partialSince = this.more ? this.partialSince || performance.now() : 0
      this.#done()
      return
    }
    this.partialSince = 0
    const line = this.#chunk.subarray(this.#at, end > this.#at && this.#chunk[end - 1] === 13 ? end - 1 : end)
    this.#at = end + 1
    let called = false
    this.#hooks.command(line, () => {
      if (called) return
      called = true
      this.#run()
    })
  }

  #readMessage({ sink, decoder }: { sink: MessageSink; decoder: DataDecoder }): void {
    if (!this.more) {
      this.#done()
      return
    }
    const { content, rest } = decoder.decode(this.#at === 0 ? this.#chunk : this.#chunk.subarray(this.#at))
    this.#chunk = rest ?? Buffer.alloc(0)
    this.#at = 0
    const wait = content.length > 0 ? sink.content(content) : undefined
    const after = () => {
      if (rest === undefined) this.#done()
      else {
        this.#message = undefined
        sink.end(decoder.stray)
      }
    }
    if (wait) void wait.then(after)
    else after()
  }
}
