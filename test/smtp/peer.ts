/** One end of a TCP connection that a test plays: says what it is told to, hears lines. */
import { connect, type Socket } from 'node:net'

/** How long a line is waited for. */
const lineMsMax = 5_000

export class Peer {
  readonly socket: Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  #waiting: (() => void)[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', chunk => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#wake()
    })
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<Peer> {
    const socket = connect({ port, host })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve())
      socket.once('error', reject)
    })
    return new Peer(socket)
  }

  /** Whether the other side has closed, and all it said was heard. */
  get over(): boolean {
    return this.#ended && this.#bytes.length === 0
  }

  /** What was heard and not yet asked for. */
  get unread(): string {
    return this.#bytes.toString('latin1')
  }

  /** What was heard and not yet asked for, which then counts as asked for. */
  take(): string {
    const text = this.unread
    this.#bytes = Buffer.alloc(0)
    return text
  }

  say(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** The next line, without CRLF; undefined when the other side has closed. */
  async line(waitMs = lineMsMax): Promise<string | undefined> {
    const deadline = performance.now() + waitMs
    for (;;) {
      const end = this.#bytes.indexOf('\r\n')
      if (end !== -1) {
        const line = this.#bytes.toString('latin1', 0, end)
        this.#bytes = this.#bytes.subarray(end + 2)
        return line
      }
      if (this.#ended) return undefined
      await this.#change(deadline, 'a line')
    }
  }

  /** A whole reply; its lines, without CRLF. Empty when the other side has closed. */
  async reply(waitMs = lineMsMax): Promise<string[]> {
    const lines: string[] = []
    for (;;) {
      const line = await this.line(waitMs)
      if (line === undefined) return lines
      lines.push(line)
      if (line[3] !== '-') return lines
    }
  }

  /** Says a command and gives the last line of its reply. */
  async ask(command: string, waitMs = lineMsMax): Promise<string> {
    this.say(`${command}\r\n`)
    return (await this.reply(waitMs)).at(-1) ?? 'closed'
  }

  /** Waits until the other side has closed; gives what it said before. */
  async closed(): Promise<string> {
    const deadline = performance.now() + lineMsMax
    while (!this.#ended) await this.#change(deadline, 'the end of the connection')
    const rest = this.unread
    this.#bytes = Buffer.alloc(0)
    return rest
  }

  async #change(deadline: number, what: string): Promise<void> {
    const left = deadline - performance.now()
    if (left <= 0) throw new Error(`waited in vain for ${what}; heard ${JSON.stringify(this.unread)}`)
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, left)
      this.#waiting.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume()
  }
}
