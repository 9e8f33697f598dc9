/**
 * A client's connection: its socket, TLS on it, and what is read from it. What is said on it is the session's.
 */
import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import { ClientSession } from './client-session.ts'
import type { Timed } from './deadlines.ts'
import { InboundReader, type MessageSink } from './inbound-reader.ts'
import type { Relay } from './relay.ts'
import type { SessionChannel } from './session-channel.ts'

export interface ClientConnectionHooks {
  /** The certificate of the moment; called when TLS begins. */
  readonly secureContext: () => SecureContext
  /** It is closed on both sides. */
  readonly closed: (connection: ClientConnection) => void
}

export class ClientConnection implements SessionChannel, Timed {
  readonly id: string
  readonly remoteAddress: string
  secure = false
  readonly #relay: Relay
  readonly #hooks: ClientConnectionHooks
  readonly #session: ClientSession
  /** The one with TLS from the beginning of the handshake on. */
  #socket: Socket
  #reader: InboundReader
  /** A TLS handshake is under way. */
  #upgrading = false
  #greeted = false
  #closed = false
  /** When it is closed whether or not the client has closed its side, in the time of `performance.now()`. */
  #closeBy = Number.POSITIVE_INFINITY

  constructor(relay: Relay, socket: Socket, id: string, hooks: ClientConnectionHooks) {
    this.#relay = relay
    this.#socket = socket
    this.id = id
    this.#hooks = hooks
    this.remoteAddress = addressOf(socket)
    this.#reader = this.#newReader()
    this.#session = new ClientSession(relay, this)
    relay.deadlines.add(this)
  }

  /** @param implicitTls TLS comes first */
  open(implicitTls: boolean): void {
    // A handshake takes a place too: who never completes one must not keep the others out.
    const refusal = this.#relay.admit(this.#session, this.remoteAddress)
    if (implicitTls && !refusal) {
      this.#upgrade(() => this.#begin())
      return
    }
    this.#listen(this.#socket)
    if (!refusal) this.#begin()
    // Without TLS there is no telling why.
    else if (implicitTls) this.destroy()
    else this.#session.end(refusal)
  }

  /** Whether our side is closed, or about to be. */
  get closing(): boolean {
    return this.#closed || this.#closeBy !== Number.POSITIVE_INFINITY
  }

  // What the session needs.

  get reachable(): boolean {
    return !this.#upgrading && !this.#closed && !this.#socket.destroyed && this.#socket.writable
  }

  get listens(): boolean {
    return this.reachable && !this.#socket.readableEnded
  }

  get more(): boolean {
    return this.#reader.more
  }

  get partialSince(): number {
    return this.#reader.partialSince
  }

  write(text: string): void {
    if (this.reachable) this.#socket.write(text, 'latin1')
  }

  whenWritable(next: () => void): void {
    if (this.#socket.writableNeedDrain) this.#socket.once('drain', next)
    else next()
  }

  receive(sink: MessageSink): void {
    this.#reader.receive(sink)
  }

  resume(): void {
    this.#reader.resume()
  }

  startTls(): void {
    const plain = this.#socket
    // What is read already came in plain text. It is kept from us, and breaks the handshake.
    plain.pause()
    for (const event of ['data', 'end', 'error', 'close']) plain.removeAllListeners(event)
    this.#upgrade(() => undefined)
  }

  close(): void {
    if (this.closing) return
    this.#closeBy = performance.now() + this.#relay.context.limits.farewellMs
    this.#relay.leave(this.#session)
    this.#reader.close()
    if (this.#upgrading) {
      this.#socket.destroy()
      return
    }
    if (this.#socket.writable) this.#socket.end()
    // What still comes is of no interest, but its end is.
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Of Deadlines. */
  check(now: number): void {
    if (now >= this.#closeBy) this.#socket.destroy()
    else this.#session.check(now, this.#upgrading)
  }

  #listen(socket: Socket): void {
    socket.on('data', chunk => this.#reader.read(chunk))
    socket.on('end', () => this.#reader.end())
    socket.on('error', error => this.#failed(error))
    socket.on('close', () => this.#gone())
  }

  #begin(): void {
    this.#relay.log.debug({ session: this.id, client: this.remoteAddress }, 'session begins')
    // The system is asked once for what has come between the two: whoever talks before the greeting has been read then.
    setImmediate(() => setImmediate(() => this.#greet()))
  }

  #greet(): void {
    if (this.closing) return
    this.#greeted = true
    this.#session.greet()
  }

  #newReader(): InboundReader {
    return new InboundReader({
      command: (line, next) => {
        if (this.#greeted) this.#session.command(line, next)
        else this.#session.tooSoon()
      },
      tooLong: () => this.#session.lineTooLong(),
      lineBytesMax: first => this.#session.lineBytesMax(first),
      ended: () => this.#session.inputEnded(),
      hold: () => this.#socket.pause(),
      flow: () => this.#socket.resume(),
    })
  }

  /** From now on nothing that came in plain text is heard (RFC 3207 section 5). */
  #upgrade(secured: () => void): void {
    const plain = this.#socket
    this.#reader.close()
    this.#reader = this.#newReader()
    this.#upgrading = true
    // Failures are told by the socket with TLS; after it has failed, this one may still have something to say.
    plain.on('error', () => undefined)
    const socket = new TLSSocket(plain, { isServer: true, secureContext: this.#hooks.secureContext() })
    this.#socket = socket
    socket.on('error', error => this.#failed(error))
    socket.on('_tlsError', (error: Error) => {
      this.#failed(error)
      socket.destroy()
    })
    socket.on('close', () => this.#gone())
    socket.on('end', () => {
      // Nobody can be answered within a handshake.
      if (this.#upgrading) socket.destroy()
      else this.#reader.end()
    })
    // Once: clients of TLS 1.2 may negotiate again.
    socket.once('secure', () => {
      if (this.closing) return
      this.secure = true
      this.#upgrading = false
      socket.on('data', chunk => this.#reader.read(chunk))
      secured()
    })
  }

  #failed(error: Error): void {
    this.#relay.sessionError(error)
    this.close()
  }

  #gone(): void {
    if (this.#closed) return
    this.#closed = true
    this.#reader.close()
    this.#relay.deadlines.delete(this)
    this.#relay.log.debug({ session: this.id }, 'session ends')
    this.#hooks.closed(this)
    this.#session.closed()
  }
}

/** An IPv4 address that came over a socket of both families is one of IPv4. */
function addressOf({ remoteAddress = '' }: Socket): string {
  return remoteAddress.startsWith('::ffff:') ? remoteAddress.slice(7) : remoteAddress
}
