/** Cuts what a client sends into command lines and messages. */
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
  /** Longest line now that begins with this byte. */
  readonly lineBytesMax: (first: number) => number
  /** The client says no more, and what it said was handled. */
  readonly ended: () => void
  /** Enough is waiting: no more, please, until `flow`. */
  readonly hold: () => void
  readonly flow: () => void
}

/** Bytes that wait for their turn before the client is made to wait. */
const waitingBytesMax = 16 * 1024
const nothing = Buffer.alloc(0)

export class InboundReader {
  readonly #hooks: InboundHooks
  #chunk: Buffer = nothing
  #at = 0
  /** Came while something was being handled. */
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #held = false
  /** All that came has been handled. */
  #idle = true
  #ended = false
  #closed = false
  #message: { readonly sink: MessageSink; readonly decoder: DataDecoder } | undefined
  #running = false
  #again = false
  /** Since when part of a command line is held, `performance.now()`; 0 when none is. */
  partialSince = 0

  constructor(hooks: InboundHooks) {
    this.#hooks = hooks
  }

  /** Whether the client has sent something after the command that is being handled. */
  get more(): boolean {
    return this.#at < this.#chunk.length || this.#waiting.length > 0
  }

  /** Takes what the client sent. */
  read(chunk: Buffer): void {
    if (this.#closed) return
    if (this.#idle) {
      this.#take(chunk)
      this.#run()
      return
    }
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    if (this.#held || this.#waitingBytes < waitingBytesMax) return
    this.#held = true
    this.#hooks.hold()
  }

  /** The client has closed its side. */
  end(): void {
    this.#ended = true
    if (this.#idle && !this.#closed) this.#hooks.ended()
  }

  /** Nothing more is handled, whatever came or comes. */
  close(): void {
    this.#closed = true
    this.#chunk = nothing
    this.#at = 0
    this.#waiting = []
  }

  /** From the next byte on this is a message, until its end; then nothing is read until `resume`. */
  receive(sink: MessageSink): void {
    this.#message = { sink, decoder: new DataDecoder() }
  }

  /** Goes on with commands after a message was answered. */
  resume(): void {
    this.#run()
  }

  #take(chunk: Buffer): void {
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk
    this.#at = 0
    this.#idle = false
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
      if (this.#closed) break
      if (this.#message) this.#readMessage(this.#message)
      else this.#readCommand()
    } while (this.#again)
    this.#running = false
  }

  /** What there was is handled, or is only a part. */
  #needMore(): void {
    const chunk = this.#waiting.shift()
    if (chunk) {
      this.#waitingBytes -= chunk.length
      this.#take(chunk)
      this.#again = true
      return
    }
    this.#idle = true
    if (this.#held) {
      this.#held = false
      this.#hooks.flow()
    }
    if (this.#ended) this.#hooks.ended()
  }

  #readCommand(): void {
    const end = this.#chunk.indexOf(10, this.#at)
    const limit = this.#hooks.lineBytesMax(this.#chunk[this.#at] ?? 0)
    if ((end === -1 ? this.#chunk.length : end) - this.#at > limit) {
      this.close()
      this.#hooks.tooLong()
      return
    }
    if (end === -1) {
      this.partialSince = this.#at < this.#chunk.length ? this.partialSince || performance.now() : 0
      this.#needMore()
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
    if (this.#at === this.#chunk.length) {
      this.#needMore()
      return
    }
    const { content, rest } = decoder.decode(this.#at === 0 ? this.#chunk : this.#chunk.subarray(this.#at))
    this.#chunk = rest ?? nothing
    this.#at = 0
    const wait = content.length > 0 ? sink.content(content) : undefined
    const after = () => {
      if (rest === undefined) {
        this.#run()
        return
      }
      this.#message = undefined
      if (!this.#closed) sink.end(decoder.stray)
    }
    if (wait) void wait.then(after)
    else after()
  }
}
