/**
 * MAIL and RCPT of one transaction on their way to the upstream. A connection that was kept open may turn out to be
 * closed by the other side; as long as nothing was answered, all that was asked is asked again on a fresh one.
 */
import { grownBytes } from './capabilities.ts'
import { Refused, formatEnvelopeCommand, type EnvelopeCommand } from './envelope-command.ts'
import type { RelayContext, UpstreamSource } from './relay-context.ts'
import { localReply, type Reply } from './reply.ts'
import { type UpstreamConnection, UpstreamLost } from './upstream-connection.ts'

interface Exchange {
  readonly line: string
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

export class UpstreamEnvelope {
  readonly #context: RelayContext
  readonly #source: UpstreamSource
  #connection: UpstreamConnection | undefined
  /** MAIL is written, or can't be. */
  #ready: Promise<void> = Promise.resolve()
  #mailLine = ''
  readonly #outstanding: Exchange[] = []
  #answered = false
  #retried = false
  #closed = false

  constructor(context: RelayContext, source: UpstreamSource) {
    this.#context = context
    this.#source = source
  }

  /** The connection that the transaction is open on; undefined while there is none. */
  get connection(): UpstreamConnection | undefined {
    return this.#connection
  }

  /** MAIL as it was sent. */
  get mailLine(): string {
    return this.#mailLine
  }

  /** Settles when MAIL is written, or can't be. */
  get ready(): Promise<void> {
    return this.#ready
  }

  /** @throws {Refused} {UpstreamLost} {UpstreamUnavailable} */
  async mail(command: EnvelopeCommand): Promise<Reply> {
    const opened = this.#source.acquire().then(connection => {
      this.#connection = connection
      connection.transactions++
      this.#mailLine = mailFor(command, connection, this.#context.limits.messageBytesMax)
      return { answer: this.#exchange(this.#mailLine) }
    })
    this.#ready = opened.then(
      () => undefined,
      () => undefined,
    )
    const { answer } = await opened
    const reply = await answer
    this.#context.metrics.upstreamReply('MAIL', reply.code)
    return reply
  }

  /**
   * Called when `ready` has settled.
   * @param line the whole command
   * @throws {UpstreamLost} {UpstreamUnavailable}
   */
  async rcpt(line: string): Promise<Reply> {
    const reply = await this.#exchange(line)
    this.#context.metrics.upstreamReply('RCPT', reply.code)
    return reply
  }

  /** Ends the connection, and with it whatever was said on it. */
  destroy(): void {
    const connection = this.#connection
    this.#connection = undefined
    this.#closed = true
    if (!connection) return
    this.#source.discard(connection)
    connection.destroy()
  }

  /** Gives the connection back; no transaction is open on it. */
  release(): void {
    const connection = this.#connection
    this.#connection = undefined
    this.#closed = true
    if (!connection) return
    if (connection.alive) this.#source.release(connection)
    else this.#source.discard(connection)
  }

  #exchange(line: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new UpstreamLost('the connection was given up'))
        return
      }
      const exchange = { line, resolve, reject }
      this.#outstanding.push(exchange)
      if (this.#connection) this.#send(exchange, this.#connection)
    })
  }

  #send(exchange: Exchange, connection: UpstreamConnection): void {
    connection.command(exchange.line, this.#context.limits.upstreamReplyMs).then(
      reply => {
        if (reply.code === 421 && this.#isRetrying(connection)) return
        this.#answered = true
        this.#outstanding.splice(this.#outstanding.indexOf(exchange), 1)
        exchange.resolve(reply)
      },
      (error: Error) => {
        if (this.#isRetrying(connection)) return
        this.#outstanding.splice(this.#outstanding.indexOf(exchange), 1)
        exchange.reject(error)
      },
    )
  }

  /** Whether what was asked on this connection is asked again on another. */
  #isRetrying(connection: UpstreamConnection): boolean {
    if (this.#retried) return connection !== this.#connection && !this.#closed
    if (this.#answered || this.#closed || connection.transactions < 2) return false
    this.#retried = true
    this.#connection = undefined
    this.#source.discard(connection)
    void this.#askAgain()
    return true
  }

  async #askAgain(): Promise<void> {
    try {
      const connection = await this.#source.acquire(true)
      if (this.#closed) {
        this.#source.release(connection)
        throw new UpstreamLost('the connection was given up')
      }
      connection.transactions++
      this.#connection = connection
      for (const exchange of this.#outstanding) this.#send(exchange, connection)
    } catch (error) {
      for (const exchange of this.#outstanding.splice(0)) exchange.reject(error as Error)
    }
  }
}

/** MAIL with the parameters that this connection takes. The message grows on its way, so its size is an estimate. */
function mailFor(command: EnvelopeCommand, { capabilities }: UpstreamConnection, messageBytesMax: number): string {
  const parameters = new Map(command.parameters)
  if (parameters.has('SMTPUTF8') && !capabilities.smtpUtf8) {
    throw new Refused(localReply(550, '5.6.7', 'The upstream does not take SMTPUTF8'))
  }
  if (!capabilities.eightBitMime) {
    if (parameters.get('BODY')?.toUpperCase() === '8BITMIME') {
      throw new Refused(localReply(550, '5.6.3', 'The upstream does not take 8BITMIME'))
    }
    parameters.delete('BODY')
  }
  if (!capabilities.dsn && (parameters.has('RET') || parameters.has('ENVID'))) {
    throw new Refused(localReply(555, '5.5.4', 'The upstream does not take DSN'))
  }
  if (capabilities.auth.length === 0) parameters.delete('AUTH')
  const size = parameters.get('SIZE')
  if (size !== undefined) {
    const declared = Number(size)
    if (declared > messageBytesMax) throw new Refused(localReply(552, '5.3.4', 'Message size exceeds the limit'))
    if (capabilities.size === undefined) parameters.delete('SIZE')
    else {
      // What is refused unwrapped stays refused; what fits unwrapped is not refused for what wrapping may add.
      const grown = grownBytes(declared)
      parameters.set(
        'SIZE',
        String(capabilities.size === 0 ? grown : Math.min(grown, Math.max(declared, capabilities.size))),
      )
    }
  }
  return formatEnvelopeCommand('MAIL FROM', command.path, parameters)
}
