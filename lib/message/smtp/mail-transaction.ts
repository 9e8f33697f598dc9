/**
 * One mail transaction of a client, relayed in step: each command goes to the upstream when the client gives it and is
 * answered with what the upstream said. Nothing is positive before the upstream was.
 *
 * With one recipient, or with a message that all recipients share, the client's transaction and the upstream's are the
 * same. With several recipients that each get a copy of their own, the upstream judges sender and recipients in this
 * transaction, which is reset at the end of the message; the copies follow in transactions of their own.
 */
import { announcedSize, grownBytes } from './capabilities.ts'
import type { MessageCopies } from './accepted-copies.ts'
import { Delivery } from './delivery.ts'
import { formatEnvelopeCommand, type EnvelopeCommand } from './envelope-command.ts'
import { HeaderWatch } from './header-watch.ts'
import { troubleReply, type RelayContext, type UpstreamSource } from './relay-context.ts'
import { bytesOf } from './piece-list.ts'
import { isPositive, localReply, type Reply } from './reply.ts'
import { sendCopies } from './send-copies.ts'
import { UpstreamEnvelope } from './upstream-envelope.ts'
import { answersData, type UpstreamConnection, UpstreamLost } from './upstream-connection.ts'

/** What holding a piece takes beside its bytes, about. */
const pieceBytes = 256

const acceptedBefore = localReply(250, '2.0.0', 'Ok: accepted before')

export class MailTransaction {
  readonly #context: RelayContext
  readonly #upstream: UpstreamEnvelope
  #mail: EnvelopeCommand | undefined
  /** Accepted recipients and the command of each. */
  readonly #recipients = new Map<string, string>()
  /** RCPT commands given, whatever came of them. */
  #asked = 0
  #previousRcpt: Promise<unknown> = Promise.resolve()
  /** The upstream has accepted MAIL. */
  #begun = false
  /** The upstream is gone; what every further command is answered. */
  #lost: Reply | undefined
  #aborted = false

  // The message.
  readonly #watch = new HeaderWatch()
  #split = false
  #delivery: Delivery | undefined
  #streaming = false
  #pieces: Buffer[] = []
  #collectedBytes = 0
  #bytes = 0
  #bytesMax = 0
  #refusal: Reply | undefined
  /** What is remembered of copies, to be concluded when the reply is with the client. */
  #copies: MessageCopies | undefined

  constructor(context: RelayContext, source: UpstreamSource) {
    this.#context = context
    this.#upstream = new UpstreamEnvelope(context, source)
  }

  /** Whether MAIL asked for SMTPUTF8. */
  get smtpUtf8(): boolean {
    return this.#mail?.parameters.has('SMTPUTF8') ?? false
  }

  /** MAIL. After a negative reply only `reset` makes sense, once all that was asked is answered. */
  async mail(command: EnvelopeCommand): Promise<Reply> {
    this.#mail = command
    try {
      const reply = await this.#upstream.mail(command)
      this.#begun = isPositive(reply)
      return reply
    } catch (error) {
      this.#lost = troubleReply(error)
      return this.#lost
    }
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
    await this.#upstream.ready
    if (this.#lost) return this.#lost
    if (index >= this.#context.limits.recipientsMax) return localReply(452, '4.5.3', 'Too many recipients')
    const connection = this.#upstream.connection
    if (connection && !connection.capabilities.dsn && command.parameters.size > 0) {
      return localReply(555, '5.5.4', 'The upstream does not take DSN')
    }
    const line = formatEnvelopeCommand('RCPT TO', command.path, command.parameters)
    try {
      const reply = await this.#upstream.rcpt(line)
      if (isPositive(reply)) this.#recipients.set(command.path, line)
      return reply
    } catch (error) {
      this.#lost = troubleReply(error)
      return this.#lost
    }
  }

  /** DATA. 354 means that the message may come. */
  async data(): Promise<Reply> {
    const { limits, multiRecipient, metrics, collected } = this.#context
    if (this.#lost) return this.#lost
    const { connection } = this.#upstream
    if (this.#asked === 0) return localReply(503, '5.5.1', 'Need RCPT command')
    if (!connection || this.#recipients.size === 0) return localReply(554, '5.5.1', 'No valid recipients')
    if (collected.bytes >= limits.collectedBytesMax) return localReply(452, '4.3.1', 'Too much mail at once')
    this.#bytesMax = announcedSize(connection.capabilities, limits.messageBytesMax)
    this.#split = multiRecipient === 'split' && this.#recipients.size > 1
    if (this.#split) return localReply(354, '', 'End data with <CR><LF>.<CR><LF>')
    const reply = await this.#try(connection.command('DATA', limits.upstreamDataMs, answersData))
    metrics.upstreamReply('DATA', reply.code)
    if (reply.code === 354) {
      this.#delivery = new Delivery(this.#context, connection, this.#copyFor(this.#onlyRecipient()))
    }
    return reply
  }

  /** A piece of the message. A promise asks to wait. */
  content(pieces: readonly Buffer[]): void | Promise<void> {
    if (this.#refusal || this.#aborted) return undefined
    const { limits, collected } = this.#context
    for (const piece of pieces) this.#watch.read(piece)
    const bytes = bytesOf(pieces)
    this.#bytes += bytes
    if (this.#watch.received > limits.receivedFieldsMax) {
      return this.#refuse(localReply(554, '5.4.6', 'Too many hops, the message is in a loop'))
    }
    if (this.#bytes > this.#bytesMax) return this.#refuse(localReply(552, '5.3.4', 'Message size exceeds the limit'))
    if (this.#streaming) return this.#delivery!.write(pieces)
    for (const piece of pieces) this.#pieces.push(piece)
    const held = bytes + pieces.length * pieceBytes
    this.#collectedBytes += held
    collected.bytes += held
    // To know whether a copy was accepted before, the whole message is needed.
    if (this.#bytes > limits.collectBytesMax && this.#delivery && !this.#mayBeRetry()) {
      const how = this.#streamable()
      if (how !== undefined) {
        this.#streaming = true
        this.#delivery.stream(how === 'stamped')
        return this.#delivery.write(this.#uncollect())
      }
    }
    if (collected.bytes > limits.collectedBytesMax)
      return this.#refuse(localReply(452, '4.3.1', 'Too much mail at once'))
    return undefined
  }

  /** The message is complete. Gives the reply to the final dot; the transaction is over. */
  async finish(): Promise<Reply> {
    if (this.#refusal) return this.#refusal
    const reply = await (this.#split ? this.#sendCopies() : this.#sendMessage(this.#delivery!))
    this.#uncollect()
    this.#upstream.release()
    return reply
  }

  /** The message is complete but must not go on. */
  async giveUp(reply: Reply): Promise<Reply> {
    if (this.#refusal) return this.#refusal
    this.#refuse(reply)
    return reply
  }

  /** The reply to the message was written, or the client is gone. */
  concluded(answered: boolean): void {
    if (answered) this.#copies?.complete()
    else this.#copies?.keep()
  }

  /** RSET (also EHLO, and a refused MAIL): gives up what was begun. Called when all commands were answered. */
  async reset(): Promise<Reply> {
    await this.#upstream.ready
    const { connection } = this.#upstream
    let reply = localReply(250, '2.0.0', 'Ok')
    if (connection && this.#begun) {
      const answer = await this.#try(connection.command('RSET', this.#context.limits.upstreamReplyMs))
      // Nothing is left of the transaction, whatever the upstream said.
      if (isPositive(answer)) reply = answer
      else this.#upstream.destroy()
    }
    this.#upstream.release()
    return reply
  }

  /**
   * The client is gone.
   * @param phase between commands, within the message, or after its end
   */
  async abort(phase: 'commands' | 'receiving' | 'finishing'): Promise<void> {
    this.#aborted = true
    // After its end the message is the upstream's; the reply is waited for.
    if (phase === 'finishing') return
    this.#uncollect()
    // Half a message is taken back by ending the connection before the final dot.
    if (this.#delivery) this.#upstream.destroy()
    // Commands may still be unanswered; RSET comes after them.
    this.#begun = true
    await this.reset()
  }

  /** The message is not wanted any more: what is left of it is read and dropped, then this is answered. */
  #refuse(reply: Reply): undefined {
    this.#refusal = reply
    this.#uncollect()
    this.#upstream.destroy()
    return undefined
  }

  #uncollect(): Buffer[] {
    const pieces = this.#pieces
    this.#pieces = []
    this.#context.collected.bytes -= this.#collectedBytes
    this.#collectedBytes = 0
    return pieces
  }

  /**
   * How a message that is too large to be collected goes on. What the upstream takes unwrapped must not be refused for
   * what wrapping adds; undefined: it has to be known as a whole for that, and there is room to collect it.
   */
  #streamable(): 'tracked' | 'stamped' | undefined {
    const size = this.#upstream.connection?.capabilities.size
    const declared = this.#mail?.parameters.get('SIZE')
    if (!size || grownBytes(declared === undefined ? this.#bytesMax : Number(declared)) <= size) return 'tracked'
    const { collected, limits } = this.#context
    return declared === undefined && collected.bytes <= limits.collectedBytesMax / 2 ? undefined : 'stamped'
  }

  /** Whether some of the recipients may have been served before. */
  #mayBeRetry(): boolean {
    const { ledger } = this.#context
    return ledger.outstanding && ledger.isOpen(this.#mail?.path ?? '', this.#pieces)
  }

  #onlyRecipient(): string | undefined {
    const [first, second] = this.#recipients.keys()
    return second === undefined ? first : undefined
  }

  #copyFor(recipient: string | undefined): { recipient: string | undefined; reversePath: string } {
    return { recipient, reversePath: this.#mail?.path ?? '' }
  }

  async #sendMessage(delivery: Delivery): Promise<Reply> {
    if (this.#streaming) return delivery.end()
    const { ledger, multiRecipient } = this.#context
    const recipient = this.#onlyRecipient()
    if (multiRecipient === 'split' && recipient !== undefined && this.#mayBeRetry()) {
      const copies = ledger.message(this.#mail?.path ?? '', this.#pieces)
      if ((await copies.accepted([recipient])).has(recipient)) {
        this.#copies = copies
        this.#upstream.destroy()
        return acceptedBefore
      }
    }
    return delivery.sendWhole(this.#pieces)
  }

  async #sendCopies(): Promise<Reply> {
    const { limits, ledger, rewriting } = this.#context
    const connection = this.#upstream.connection!
    const pieces = this.#pieces
    if (rewriting.bringsId(pieces)) return this.#sendShared(connection, pieces)
    const reset = await this.#try(connection.command('RSET', limits.upstreamReplyMs))
    if (!isPositive(reset)) {
      // Its transaction is open still, and what it said says nothing of the message.
      this.#upstream.destroy()
      return reset.code < 500 ? reset : troubleReply(new UpstreamLost('the upstream is out of step'))
    }
    const copies = ledger.message(this.#mail?.path ?? '', pieces)
    const outcome = await sendCopies(this.#context, connection, copies, {
      mailLine: this.#upstream.mailLine,
      recipients: this.#recipients,
      reversePath: this.#mail?.path ?? '',
      pieces,
      isWanted: () => !this.#aborted,
    })
    if (outcome.complete) this.#copies = copies
    return outcome.reply
  }

  /** Copies with the id that the message brought would all be the same. */
  async #sendShared(connection: UpstreamConnection, pieces: readonly Buffer[]): Promise<Reply> {
    const reply = await this.#try(connection.command('DATA', this.#context.limits.upstreamDataMs, answersData))
    if (reply.code === 354) return new Delivery(this.#context, connection, this.#copyFor(undefined)).sendWhole(pieces)
    this.#upstream.destroy()
    return reply
  }

  async #try(reply: Promise<Reply>): Promise<Reply> {
    try {
      return await reply
    } catch (error) {
      return troubleReply(error)
    }
  }
}
