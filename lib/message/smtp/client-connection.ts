/**
 * A client's connection. smtp-server carries the socket: TLS, closing, errors. Its commands are not used, for they answer
 * before anybody else is asked, with texts of their own; its greeting would wait 100 ms.
 */
import type { Socket } from 'node:net'
import type { SMTPServer } from 'smtp-server'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import { ClientSession } from './client-session.ts'
import type { SessionChannel } from './session-channel.ts'
import type { Timed } from './deadlines.ts'
import { InboundStream, type MessageSink } from './inbound-stream.ts'
import type { Relay } from './relay.ts'
import { formatReply, localReply } from './reply.ts'

export class ClientConnection extends SMTPConnection implements SessionChannel, Timed {
  readonly #relay: Relay
  readonly #conversation: ClientSession

  constructor(server: SMTPServer, socket: Socket, options: SMTPConnectionOptions | null | undefined, relay: Relay) {
    super(server, socket, options)
    this.#relay = relay
    this.#conversation = new ClientSession(relay, this)
  }

  override init(): void {
    this._setListeners(() => {
      this._setClientHostname('')
      this._resetSession()
      const refusal = this.#relay.admit(this.#conversation, this.remoteAddress)
      if (refusal) {
        this.#conversation.end(refusal)
        return
      }
      this.#relay.deadlines.add(this)
      this.#relay.log.debug({ session: this.id, client: this.remoteAddress }, 'session begins')
      // Whoever talks before the greeting has been read by then.
      setImmediate(() => {
        if (this._closing || this._closed) return
        this._ready = true
        this.#conversation.greet()
      })
    })
  }

  /** Called by the constructor of the base class too, when no member of this class exists yet. */
  override _createParser(): InboundStream {
    const stream = new InboundStream({
      command: (line, next) => {
        // What came in plain text before the TLS handshake is not heard.
        if (this._upgrading) return
        if (this._ready) this.#conversation.command(line, next)
        else this.#conversation.tooSoon()
      },
      tooLong: () => this.#conversation.end(localReply(500, '5.5.2', 'Command line too long')),
      lineBytesMax: () => this.#conversation.lineBytesMax,
    })
    stream.on('error', () => this.close())
    // All that the client sent before it closed its side has been handled by then.
    stream.on('finish', () => this.#conversation.inputEnded())
    return stream
  }

  /** The timeouts are ours, see `check`. */
  override _armTimeout(): void {
    this._socket.setTimeout(0)
  }

  override _onError(error: Error & { code?: string | undefined }): void {
    this.#relay.sessionError(error)
    this.close()
  }

  override _onClose(): void {
    const isFirst = !this._closed
    super._onClose()
    if (!isFirst) return
    this.#relay.deadlines.delete(this)
    this.#relay.log.debug({ session: this.id }, 'session ends')
    this.#conversation.closed()
  }

  override close(): void {
    this.#relay.leave(this.#conversation)
    super.close()
  }

  /** All that our base class says by itself, such as to STARTTLS. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const isBare = context === false || code === 220 || (code >= 300 && code < 400)
    const enhanced = isBare ? '' : `${Math.floor(code / 100)}.0.0 `
    const lines = [data ?? ''].flat().map(text => `${enhanced}${text}`)
    const text = formatReply({ code, lines })
    this.#relay.conversation?.(this.id, 'S', text)
    this.write(text)
    if (code === 421) this.close()
  }

  // What the session needs.

  get reachable(): boolean {
    return !this._upgrading && !this._closed && !this._socket.destroyed && this._socket.writable
  }

  get listens(): boolean {
    return this.reachable && !this._socket.readableEnded
  }

  get more(): boolean {
    return this.#stream?.more ?? false
  }

  get partialSince(): number {
    return this.#stream?.partialSince ?? 0
  }

  write(text: string): void {
    if (this.reachable) this._socket.write(text, 'latin1')
  }

  whenWritable(next: () => void): void {
    if (this._socket.writableNeedDrain) this._socket.once('drain', next)
    else next()
  }

  receive(sink: MessageSink): void {
    this.#stream?.receive(sink)
  }

  resume(): void {
    this.#stream?.resume()
  }

  startTls(next: () => void): void {
    this.handler_STARTTLS(Buffer.from('STARTTLS'), next)
  }

  destroy(): void {
    this._socket.destroy()
  }

  /** Of Deadlines. */
  check(now: number): void {
    this.#conversation.check(now, this._upgrading)
  }

  get #stream(): InboundStream | undefined {
    return this._parser instanceof InboundStream ? this._parser : undefined
  }
}
