/**
 * One mail transaction of a client, relayed in step: each command goes to the upstream when the client gives it and is
 * answered with what the upstream said. Nothing is positive before the upstream was.
 *
 * With one recipient, or with a message that all recipients share, the client's transaction and the upstream's are the
 * same. With several recipients that each get a copy of their own, the upstream judges sender and recipients in a first
 * transaction, which is reset at the end of the message; the copies follow in transactions of their own.
 */
import { announcedSize } from './capabilities.ts'
import type { CopyLedger } from './accepted-copies.ts'
import { DotStuffer } from './dot-stuffing.ts'
import { formatEnvelopeCommand, Refused, type EnvelopeCommand } from './envelope-command.ts'
import { HeaderWatch } from './header-watch.ts'
import type { RelayLimits } from './limits.ts'
import type { RelayMetrics } from './relay-metrics.ts'
import { isPositive, localReply, type Reply } from './reply.ts'
import type { Rewriter, Rewriting } from './rewriting.ts'
import { type UpstreamConnection, UpstreamLost, UpstreamUnavailable } from './upstream-connection.ts'

/** How a message with several recipients goes on. */
export type MultiRecipient = 'split' | 'shared' | 'refuse'

/** Where upstream connections come from: the pool, or the one that carries the client's identity. */
export interface UpstreamSource {
  acquire: (fresh?: boolean) => Promise<UpstreamConnection>
  release: (connection: UpstreamConnection) => void
  discard: (connection: UpstreamConnection) => void
}

/** What all transactions of a process share. */
export interface RelayContext {
  readonly limits: RelayLimits
  readonly multiRecipient: MultiRecipient
  readonly rewriting: Rewriting
  readonly ledger: CopyLedger
  readonly metrics: RelayMetrics
  /** Takes what is known of a message that the upstream has accepted. */
  readonly accepted: (identity: NonNullable<ReturnType<NonNullable<Rewriter['identity']>>>) => void
  /** Keeps what is sent upstream, for `--upstream-data-debug`. */
  readonly upstreamData: ((pieces: readonly Buffer[]) => void) | undefined
  /** Bytes of messages being collected. */
  readonly collected: { bytes: number }
}

interface Exchange {
  readonly line: string
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

/** A message that goes on while it comes. */
interface Streaming {
  readonly rewriter: Rewriter
  readonly stuffer: DotStuffer
}

/** What a lost or missing upstream means to the client. */
export function upstreamTrouble(error: unknown): Reply {
  if (error instanceof Refused) return error.reply
  if (error instanceof UpstreamLost) return localReply(451, '4.4.2', 'Upstream connection lost, try again later')
  if (error instanceof UpstreamUnavailable) return localReply(451, '4.4.1', 'Upstream not available, try again later')
  throw error
}

export class MailTransaction {
  readonly #context: RelayContext
  readonly #source: UpstreamSource
  #connection: UpstreamConnection | undefined
  /** MAIL has been written upstream; what follows it may be. */
  #ready: Promise<void> = Promise.resolve()
  #outstanding: Exchange[] = []
  #answered = false
  #retried = false
  #mail: EnvelopeCommand | undefined
  #mailLine = ''
  readonly #recipients = new Map<string, string>()
  /** RCPT commands given, whatever came of them. */
  #asked = 0
  #lost: Reply | undefined
  /** The upstream has accepted MAIL. */
  #begun = false
  #previousRcpt: Promise<unknown> = Promise.resolve()

  // The message.
  #split = false
  #finalReply: Promise<Reply | Error> | undefined
  #earlyReply = false
  #pieces: Buffer[] = []
  #bytes = 0
  #counted = 0
  #messageBytesMax = 0
  #refusal: Reply | undefined
  #stream: Streaming | undefined
  readonly #watch = new HeaderWatch()
  #aborted = false

  constructor(context: RelayContext, source: UpstreamSource) {
    this.#context = context
    this.#source = source
  }

  /** Whether MAIL asked for SMTPUTF8. */
  get smtpUtf8(): boolean {
    return this.#mail?.parameters.has('SMTPUTF8') ?? false
  }

  /** Whether a recipient was accepted. */
  get hasRecipient(): boolean {
    return this.#recipients.size > 0
  }

  /** MAIL. After a negative reply only `reset` makes sense, once all that was asked is answered. */
  async mail(command: EnvelopeCommand): Promise<Reply> {
    this.#mail = command
    const opened = this.#source.acquire().then(connection => {
      this.#connection = connection
      connection.transactions++
      this.#mailLine = this.#mailFor(command, connection)
      return { answer: this.#exchange(this.#mailLine) }
    })
    // Commands that follow need to know only that MAIL is written, or that it can't be.
    this.#ready = opened.then(
      () => undefined,
      () => undefined,
    )
    try {
      const reply = await (await opened).answer
      this.#context.metrics.upstreamReply('MAIL', reply.code)
      this.#begun = isPositive(reply)
      return reply
    } catch (error) {
      this.#lost = upstreamTrouble(error)
      return this.#lost
    }
  }

  /** Parameters that this connection takes; the message grows on its way, so its size is an estimate. */
  #mailFor(command: EnvelopeCommand, connection: UpstreamConnection): string {
    const { capabilities } = connection
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
      if (declared > this.#context.limits.messageBytesMax) {
        throw new Refused(localReply(552, '5.3.4', 'Message size exceeds the limit'))
      }
      if (capabilities.size === undefined) parameters.delete('SIZE')
      else {
        // What is refused unwrapped stays refused; what fits unwrapped is not refused for what wrapping may add.
        const grown = declared + Math.ceil(declared / 4) + 4096
        const most = capabilities.size === 0 ? grown : Math.max(declared, capabilities.size)
        parameters.set('SIZE', String(Math.min(grown, most)))
      }
    }
    return formatEnvelopeCommand('MAIL FROM', command.path, parameters)
  }

  /** RCPT. May be called before earlier commands were answered. */
  async rcpt(command: EnvelopeCommand): Promise<Reply> {
    if (this.#context.multiRecipient !== 'refuse') return this.#rcpt(command)
    // The first may be refused, and only then does a second have a place.
    const reply = this.#previousRcpt.then(() =>
      this.#recipients.size > 0 ? localReply(452, '4.5.3', 'One recipient at a time') : this.#rcpt(command),
    )
    this.#previousRcpt = reply
    return reply
  }

  async #rcpt(command: EnvelopeCommand): Promise<Reply> {
    const index = this.#asked++
    await this.#ready
    if (this.#lost) return this.#lost
    if (index >= this.#context.limits.recipientsMax) return localReply(452, '4.5.3', 'Too many recipients')
    const connection = this.#connection
    if (connection && !connection.capabilities.dsn && command.parameters.size > 0) {
      return localReply(555, '5.5.4', 'The upstream does not take DSN')
    }
    const line = formatEnvelopeCommand('RCPT TO', command.path, command.parameters)
    try {
      const reply = await this.#exchange(line)
      this.#context.metrics.upstreamReply('RCPT', reply.code)
      if (isPositive(reply)) this.#recipients.set(command.path, line)
      return reply
    } catch (error) {
      this.#lost = upstreamTrouble(error)
      return this.#lost
    }
  }

  /**
   * DATA. 354 means that the message may come.
   */
  async data(): Promise<Reply> {
    const { limits, multiRecipient, metrics, collected } = this.#context
    if (this.#lost) return this.#lost
    const connection = this.#connection
    if (!connection || this.#recipients.size === 0) {
      return localReply(
        this.#asked > 0 ? 554 : 503,
        '5.5.1',
        this.#asked > 0 ? 'No valid recipients' : 'Need RCPT command',
      )
    }
    if (collected.bytes >= limits.collectedBytesMax) return localReply(452, '4.3.1', 'Too much mail at once')
    this.#messageBytesMax = announcedSize(connection.capabilities, limits.messageBytesMax)
    this.#split = multiRecipient === 'split' && this.#recipients.size > 1
    if (this.#split) return localReply(354, '', 'End data with <CR><LF>.<CR><LF>')
    try {
      const reply = await connection.command('DATA', limits.upstreamDataMs)
      metrics.upstreamReply('DATA', reply.code)
      if (reply.code === 354) this.#expectFinalReply(connection)
      return reply
    } catch (error) {
      this.#lost = upstreamTrouble(error)
      return this.#lost
    }
  }

  #expectFinalReply(connection: UpstreamConnection): void {
    this.#earlyReply = false
    const reply = connection.finalReply().then(
      reply => {
        this.#earlyReply = true
        return reply
      },
      (error: Error) => error,
    )
    this.#finalReply = reply
  }

  /** A piece of the message. A promise asks to wait. */
  content(pieces: readonly Buffer[]): void | Promise<void> {
    if (this.#refusal || this.#aborted) return undefined
    const { limits, collected } = this.#context
    let bytes = 0
    for (const piece of pieces) {
      this.#watch.read(piece)
      bytes += piece.length
    }
    this.#bytes += bytes
    if (this.#watch.received > limits.receivedFieldsMax) {
      return this.#refuse(localReply(554, '5.4.6', 'Too many hops, the message is in a loop'))
    }
    if (this.#bytes > this.#messageBytesMax) {
      return this.#refuse(localReply(552, '5.3.4', 'Message size exceeds the limit'))
    }
    if (this.#stream) return this.#pass(this.#stream, pieces)
    this.#pieces.push(...pieces)
    this.#counted += bytes
    collected.bytes += bytes
    if (!this.#split && this.#bytes > limits.collectBytesMax) {
      const held = this.#uncollect()
      this.#stream = { rewriter: this.#rewriter(this.#onlyRecipient()), stuffer: new DotStuffer() }
      return this.#pass(this.#stream, held)
    }
    if (collected.bytes > limits.collectedBytesMax) {
      return this.#refuse(localReply(452, '4.3.1', 'Too much mail at once'))
    }
    return undefined
  }

  /** The message is not wanted any more: what is left of it is read and dropped, then this is answered. */
  #refuse(reply: Reply): undefined {
    this.#refusal = reply
    this.#uncollect()
    this.#stream = undefined
    // Half a message may have been sent; only the end of the connection takes it back.
    this.#destroy()
    return undefined
  }

  #uncollect(): Buffer[] {
    const pieces = this.#pieces
    this.#pieces = []
    this.#context.collected.bytes -= this.#counted
    this.#counted = 0
    return pieces
  }

  #onlyRecipient(): string | undefined {
    const [first, second] = this.#recipients.keys()
    return second === undefined ? first : undefined
  }

  #rewriter(recipient: string | undefined): Rewriter {
    return this.#context.rewriting.begin(recipient, this.#mail?.path ?? '')
  }

  #pass(stream: Streaming, pieces: readonly Buffer[]): void | Promise<void> {
    const connection = this.#connection
    if (!connection || this.#earlyReply) return undefined
    const out: Buffer[] = []
    for (const piece of pieces)
      for (const rewritten of stream.rewriter.write(piece)) out.push(...stream.stuffer.stuff(rewritten))
    this.#context.upstreamData?.(out)
    return connection.send(out) ? undefined : connection.drained()
  }

  /** The message is complete. Gives the reply to the final dot; the transaction is over. */
  async finish(): Promise<Reply> {
    if (this.#refusal) return this.#refusal
    const reply = await (this.#split ? this.#sendCopies() : this.#sendMessage())
    this.#uncollect()
    this.#release()
    return reply
  }

  /** The message is complete but must not go on, whatever came of it so far. */
  async giveUp(reply: Reply): Promise<Reply> {
    if (this.#split) {
      this.#uncollect()
      await this.reset()
    } else if (!this.#refusal) this.#refuse(reply)
    return reply
  }

  async #sendMessage(): Promise<Reply> {
    const connection = this.#connection!
    const recipient = this.#onlyRecipient()
    let rewriter
    if (this.#stream) {
      rewriter = this.#stream.rewriter
      if (!this.#earlyReply) {
        const out: Buffer[] = []
        for (const rewritten of rewriter.end()) out.push(...this.#stream.stuffer.stuff(rewritten))
        out.push(this.#stream.stuffer.end())
        this.#context.upstreamData?.(out)
        connection.send(out)
      }
    } else rewriter = this.#sendCollected(connection, recipient)
    return this.#concluded(connection, rewriter)
  }

  /** Rewrites what was collected and sends it with its final dot in one write. */
  #sendCollected(connection: UpstreamConnection, recipient: string | undefined): Rewriter {
    const rewriter = this.#rewriter(recipient)
    const stuffer = new DotStuffer()
    const out: Buffer[] = []
    for (const piece of this.#pieces)
      for (const rewritten of rewriter.write(piece)) out.push(...stuffer.stuff(rewritten))
    for (const rewritten of rewriter.end()) out.push(...stuffer.stuff(rewritten))
    out.push(stuffer.end())
    this.#context.upstreamData?.(out)
    if (!this.#earlyReply) connection.send(out)
    return rewriter
  }

  /** Waits for the reply to a message that was sent. */
  async #concluded(connection: UpstreamConnection, rewriter: Rewriter): Promise<Reply> {
    const early = this.#earlyReply
    if (!early) connection.bodySent(this.#context.limits.upstreamFinalMs)
    const answer = await this.#finalReply!
    if (answer instanceof Error) return upstreamTrouble(answer)
    this.#context.metrics.upstreamReply('message', answer.code)
    if (early) {
      // It answered before it had the message: its word is passed on, unless it claims to have got it.
      connection.destroy()
      return isPositive(answer) ? upstreamTrouble(new UpstreamLost('the upstream is out of step')) : answer
    }
    if (isPositive(answer)) {
      const identity = rewriter.identity?.()
      if (identity) this.#context.accepted(identity)
    }
    return answer
  }

  /** Each recipient gets a copy; see the ledger for what happens when only some are accepted. */
  async #sendCopies(): Promise<Reply> {
    const { ledger } = this.#context
    const probe = this.#connection!
    const reset = await this.#tryCommand(probe, 'RSET')
    if (!isPositive(reset)) return reset
    const message = ledger.message(this.#mail?.path ?? '', this.#pieces)
    const before = await message.accepted([...this.#recipients.keys()])
    let last: Reply | undefined
    let failure: Reply | undefined
    let accepted = before.size
    for (const [recipient, rcptLine] of this.#recipients) {
      if (before.has(recipient)) continue
      if (this.#aborted) return upstreamTrouble(new UpstreamLost('the client is gone'))
      const reply = await this.#sendCopy(probe, recipient, rcptLine)
      if (isPositive(reply)) {
        accepted++
        last = reply
        message.accept(recipient)
      } else {
        failure ??= reply
        if (accepted === 0 || !probe.alive) break
      }
    }
    if (failure === undefined) {
      this.#onAnswered = () => message.complete()
      return last ?? localReply(250, '2.0.0', 'Ok: all recipients had been accepted before')
    }
    if (accepted === 0) return failure
    message.keep()
    return localReply(451, '4.5.0', 'Not every recipient was accepted, send again for the rest')
  }

  #onAnswered: (() => void) | undefined

  /** The reply to the message has reached the client, as far as can be known. */
  answered(): void {
    this.#onAnswered?.()
  }

  async #sendCopy(connection: UpstreamConnection, recipient: string, rcptLine: string): Promise<Reply> {
    const { limits } = this.#context
    try {
      connection.transactions++
      const [mail, rcpt] = await Promise.all([
        connection.command(this.#mailLine, limits.upstreamReplyMs),
        connection.command(rcptLine, limits.upstreamReplyMs),
      ])
      const refused = [mail, rcpt].find(reply => !isPositive(reply))
      const data = refused ?? (await connection.command('DATA', limits.upstreamDataMs))
      if (data.code !== 354) {
        await connection.command('RSET', limits.upstreamReplyMs)
        return isPositive(data) ? localReply(451, '4.5.0', 'Upstream out of step') : data
      }
      this.#expectFinalReply(connection)
      return await this.#concluded(connection, this.#sendCollected(connection, recipient))
    } catch (error) {
      return upstreamTrouble(error)
    }
  }

  async #tryCommand(connection: UpstreamConnection, line: string): Promise<Reply> {
    try {
      return await connection.command(line, this.#context.limits.upstreamReplyMs)
    } catch (error) {
      return upstreamTrouble(error)
    }
  }

  /** RSET (also EHLO, and the end of the session): gives up what was begun. Called when all commands were answered. */
  async reset(): Promise<Reply> {
    await this.#ready
    const connection = this.#connection
    let reply = localReply(250, '2.0.0', 'Ok')
    if (connection && this.#begun) {
      const answer = await this.#tryCommand(connection, 'RSET')
      // Nothing is left of the transaction, whatever the upstream said.
      if (isPositive(answer)) reply = answer
      else this.#destroy()
    }
    this.#release()
    return reply
  }

  /**
   * The client is gone.
   * @param phase between commands, within the message, or after its end
   */
  async abort(phase: 'commands' | 'receiving' | 'finishing'): Promise<void> {
    this.#aborted = true
    // After the end of a message it is the upstream's; its reply is waited for.
    if (phase === 'finishing') return
    this.#uncollect()
    if (phase === 'receiving' && !this.#split) this.#destroy()
    await this.#ready
    // Commands may still be unanswered; RSET comes after them.
    this.#begun = true
    await this.reset()
  }

  /** Ends the upstream connection, so that what was sent of a message comes to nothing. */
  #destroy(): void {
    const connection = this.#connection
    this.#connection = undefined
    if (!connection) return
    this.#source.discard(connection)
    connection.destroy()
  }

  #release(): void {
    const connection = this.#connection
    this.#connection = undefined
    if (!connection) return
    if (connection.alive) this.#source.release(connection)
    else this.#source.discard(connection)
  }

  /** A command and its reply. On a connection that was kept open, a loss before any reply is mended once. */
  async #exchange(line: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const exchange = { line, resolve, reject }
      this.#outstanding.push(exchange)
      if (this.#connection) this.#send(exchange, this.#connection)
    })
  }

  #send(exchange: Exchange, connection: UpstreamConnection): void {
    connection.command(exchange.line, this.#context.limits.upstreamReplyMs).then(
      reply => {
        if (reply.code === 421 && this.#retry(connection)) return
        this.#answered = true
        this.#outstanding.splice(this.#outstanding.indexOf(exchange), 1)
        exchange.resolve(reply)
      },
      (error: Error) => {
        if (this.#retry(connection)) return
        this.#outstanding.splice(this.#outstanding.indexOf(exchange), 1)
        exchange.reject(error)
      },
    )
  }

  /** Whether what is outstanding is being sent again: the upstream had closed a connection that was kept open. */
  #retry(connection: UpstreamConnection): boolean {
    if (this.#retried) return connection !== this.#connection
    if (this.#answered || connection.transactions < 2) return false
    this.#retried = true
    this.#connection = undefined
    this.#source.discard(connection)
    void this.#resend()
    return true
  }

  async #resend(): Promise<void> {
    try {
      const connection = await this.#source.acquire(true)
      if (this.#aborted) {
        this.#source.release(connection)
        throw new UpstreamLost('the client is gone')
      }
      connection.transactions++
      this.#connection = connection
      for (const exchange of this.#outstanding) this.#send(exchange, connection)
    } catch (error) {
      for (const exchange of this.#outstanding.splice(0)) exchange.reject(error as Error)
    }
  }
}
