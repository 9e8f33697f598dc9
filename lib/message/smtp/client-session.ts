/**
 * The SMTP conversation with a client: reads its commands, answers each with what the upstream said, in their order.
 *
 * MAIL and RCPT may be answered later than the next command is read, so that a pipelined envelope stays pipelined
 * towards the upstream. Every other command waits until all before it are answered.
 */
import { announce } from './capabilities.ts'
import { ClientConversation } from './client-conversation.ts'
import { ClientPatience } from './client-patience.ts'
import { verbOf } from './command-line.ts'
import { readMail, readRcpt, Refused } from './envelope-command.ts'
import { MailTransaction } from './mail-transaction.ts'
import { MessageClock } from './message-clock.ts'
import type { Relay } from './relay.ts'
import { ReplyQueue } from './reply-queue.ts'
import { formatReply, isPositive, localReply, type Reply } from './reply.ts'
import type { SessionChannel } from './session-channel.ts'
import { SessionIdentity } from './session-identity.ts'
import { UpstreamUnavailable } from './upstream-connection.ts'

type Phase = 'commands' | 'receiving' | 'finishing'

/** Commands that exist and are not taken. */
const known = new Set(['VRFY', 'EXPN', 'HELP', 'TURN', 'ETRN', 'BDAT', 'XCLIENT', 'XFORWARD'])
const webMethods = new Set(['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'DELETE'])

export class ClientSession {
  readonly #relay: Relay
  readonly #channel: SessionChannel
  readonly #replies = new ReplyQueue({
    write: (text, last) => {
      this.#writeText(text)
      if (!last) return
      this.#over = true
      this.#channel.close()
    },
    failed: error => this.#failed(error),
  })
  #transaction: MailTransaction | undefined
  readonly #identity: SessionIdentity
  readonly #conversation: ClientConversation | undefined
  #phase: Phase = 'commands'
  #esmtp = false
  #greeted = false
  /** The farewell is said. */
  #over = false
  #closed = false
  readonly #patience: ClientPatience
  /** When MAIL came, in the time of `performance.now()`. */
  #mailAt = 0
  #clock: MessageClock | undefined

  constructor(relay: Relay, channel: SessionChannel) {
    this.#relay = relay
    this.#channel = channel
    this.#identity = new SessionIdentity(relay, channel)
    this.#patience = new ClientPatience(relay.context.limits, performance.now())
    const { conversation } = relay
    if (conversation) this.#conversation = new ClientConversation((from, text) => conversation(channel.id, from, text))
  }

  /** Longest line that is read now, in bytes. AUTH alone begins with an A; it may bring a token. */
  lineBytesMax(first: number): number {
    const { limits } = this.#relay.context
    const isAuth = this.#identity.exchanging || first === 0x41 || first === 0x61
    return isAuth ? limits.authLineBytesMax : limits.commandBytesMax
  }

  greet(): void {
    if (!this.#over) this.#write(localReply(220, '', `${this.#relay.name} ESMTP ${this.#relay.token}`))
  }

  /** Somebody speaks before the greeting. */
  tooSoon(): void {
    this.#relay.context.metrics.refusedConnection('early talker')
    this.end(localReply(554, '5.5.0', 'Talking before the greeting'))
  }

  /** A command line is longer than it may be. */
  lineTooLong(): void {
    this.end(localReply(500, '5.5.2', 'Command line too long'))
  }

  /** Says farewell and ends the session. */
  end(reply: Reply): void {
    if (this.#over) return
    this.#over = true
    this.#relay.leave(this)
    this.#write(reply)
    this.#channel.close()
  }

  /** The same, when the session has nothing under way, as when the process stops. */
  endWhenIdle(reply: Reply): void {
    if (this.#phase === 'commands' && this.#replies.length === 0 && !this.#transaction) this.end(reply)
  }

  /** The connection is gone. */
  closed(): void {
    this.#over = true
    this.#closed = true
    this.#relay.leave(this)
    const transaction = this.#transaction
    this.#transaction = undefined
    const bound = this.#identity.upstream
    void (async () => {
      await transaction?.abort(this.#phase)
      if (this.#phase !== 'finishing') bound?.close()
    })().catch((error: unknown) => this.#relay.fault(error))
    this.#identity.giveUp()
  }

  /** The client says no more. What it has asked is answered first. */
  inputEnded(): void {
    if (this.#over) return
    if (this.#replies.length > 0) this.#replies.whenEmpty(() => this.inputEnded())
    else {
      this.#over = true
      this.#channel.close()
    }
  }

  /** A command line; the callback asks for the next one. */
  command(line: Buffer, next: () => void): void {
    if (this.#over) return
    const verb = verbOf(line)
    this.#conversation?.heard(line, this.#identity.exchanging)
    if (verb === 'RCPT' && !this.#identity.exchanging && this.#transaction && this.#replies.length < 1000) {
      this.#rcpt(line, next)
      return
    }
    const handle = () => {
      if (!this.#over) this.#handle(verb, line, next)
    }
    if (this.#replies.length === 0) handle()
    else this.#replies.whenEmpty(handle)
  }

  #handle(verb: string, line: Buffer, next: () => void): void {
    if (this.#relay.stopping) {
      this.end(localReply(421, '4.3.2', 'Shutting down'))
      return
    }
    if (this.#identity.exchanging) {
      this.#settle(this.#identity.answer(line.toString('latin1')), next)
      return
    }
    switch (verb) {
      case 'EHLO':
      case 'HELO':
        this.#hello(verb, line, next)
        return
      case 'MAIL':
        this.#mail(line, next)
        return
      case 'RCPT':
        // Within a transaction this is not reached, unless very many are unanswered.
        if (this.#transaction) this.#rcpt(line, next)
        else this.#refuse(localReply(503, '5.5.1', 'Need MAIL command'), next)
        return
      case 'DATA':
        this.#data(line, next)
        return
      case 'RSET':
        this.#patience.idleCommand()
        this.#settle(this.#resetTransaction(), next)
        return
      case 'NOOP':
        this.#patience.idleCommand()
        this.#write(localReply(250, '2.0.0', 'Ok'))
        this.#proceed(next)
        return
      case 'QUIT':
        this.end(localReply(221, '2.0.0', 'Bye'))
        return
      case 'STARTTLS':
        this.#startTls(line, next)
        return
      case 'AUTH':
        this.#authenticate(line, next)
        return
      default:
        this.#notTaken(verb, line, next)
    }
  }

  #notTaken(verb: string, line: Buffer, next: () => void): void {
    if (webMethods.has(verb) && line.includes(' HTTP/')) this.end(localReply(421, '4.7.0', 'This is not a web server'))
    else if (known.has(verb)) this.#refuse(localReply(502, '5.5.1', 'Command not implemented'), next)
    else this.#refuse(localReply(500, '5.5.2', 'Command not recognized'), next)
  }

  /** Answers with what comes, then reads on. */
  #settle(pending: Promise<Reply>, next: () => void): void {
    this.#replies.reserve(pending)
    this.#replies.whenEmpty(() => this.#proceed(next))
  }

  /** Whether the client has sent more than it may before it has the answer (RFC 2920 section 3.1); then it is over. */
  #outOfStep(): boolean {
    if (!this.#channel.more) return false
    this.#relay.context.metrics.refusedConnection('out of step')
    this.end(localReply(554, '5.5.0', 'SMTP protocol synchronization error'))
    return true
  }

  #hello(verb: 'EHLO' | 'HELO', line: Buffer, next: () => void): void {
    if (this.#outOfStep()) return
    const name = line.toString('latin1', 5).trim()
    // oxlint-disable-next-line no-control-regex -- control characters are what must not pass
    if (name === '' || name.length > 255 || /[\x00-\x1f\x7f]/.test(name)) {
      this.#refuse(localReply(501, '5.5.4', `Syntax: ${verb} hostname`), next)
      return
    }
    this.#esmtp = verb === 'EHLO'
    this.#settle(this.#welcome(), next)
  }

  async #welcome(): Promise<Reply> {
    await this.#resetTransaction()
    let upstream
    try {
      upstream = this.#identity.upstream?.connection ?? (await this.#relay.pool.capabilities())
    } catch (error) {
      if (!(error instanceof UpstreamUnavailable)) throw error
      return localReply(421, '4.3.2', 'Upstream not available, try again later')
    }
    this.#greeted = true
    const first = this.#relay.name
    const terms = this.#identity.termsWith(upstream)
    return { code: 250, lines: this.#esmtp ? [first, ...announce(upstream.capabilities, terms)] : [first] }
  }

  async #resetTransaction(): Promise<Reply> {
    const transaction = this.#transaction
    this.#transaction = undefined
    return transaction ? transaction.reset() : localReply(250, '2.0.0', 'Ok')
  }

  #mail(line: Buffer, next: () => void): void {
    if (!this.#greeted) {
      this.#refuse(localReply(503, '5.5.1', 'Send HELO or EHLO first'), next)
      return
    }
    if (this.#transaction) {
      this.#refuse(localReply(503, '5.5.1', 'Nested MAIL command'), next)
      return
    }
    // Before the upstream is asked: strangers must not hold its connections.
    const refusal = this.#identity.refusal()
    if (refusal) {
      if (refusal.code === 421) this.end(refusal)
      else this.#refuse(refusal, next)
      return
    }
    let command
    try {
      command = readMail(line)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.#refuse(error.reply, next)
      return
    }
    const transaction = new MailTransaction(this.#relay.context, this.#identity.upstream ?? this.#relay.pool)
    this.#transaction = transaction
    this.#mailAt = performance.now()
    this.#replies.reserve(transaction.mail(command), reply => {
      if (isPositive(reply)) return
      // What was pipelined behind it is answered first; commands that wait must find the session without it.
      this.#replies.whenEmptyFirst(() => {
        if (this.#transaction === transaction) this.#transaction = undefined
        void transaction.reset().catch((error: unknown) => this.#failed(error))
      })
    })
    next()
  }

  #rcpt(line: Buffer, next: () => void): void {
    const transaction = this.#transaction!
    let pending: Promise<Reply>
    try {
      const command = readRcpt(line, transaction.smtpUtf8)
      pending = transaction.rcpt(command)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.#patience.wrongCommand()
      pending = Promise.resolve(error.reply)
    }
    this.#replies.reserve(pending)
    // A session that is at its limit of errors ends as soon as all is answered.
    if (this.#patience.hasTooManyErrors) this.#replies.whenEmpty(() => this.#proceed(next))
    else next()
  }

  #data(line: Buffer, next: () => void): void {
    if (this.#outOfStep()) return
    if (line.length > 4 && line.toString('latin1', 4).trim() !== '') {
      this.#refuse(localReply(501, '5.5.4', 'Syntax: DATA'), next)
      return
    }
    const transaction = this.#transaction
    if (!transaction) {
      this.#refuse(localReply(503, '5.5.1', 'Need MAIL command'), next)
      return
    }
    this.#replies.reserve(transaction.data(), reply => {
      if (reply.code !== 354 || this.#over) return
      this.#receive(transaction)
    })
    this.#replies.whenEmpty(next)
  }

  #receive(transaction: MailTransaction): void {
    this.#phase = 'receiving'
    const clock = new MessageClock(this.#relay.context.limits, performance.now())
    this.#clock = clock
    this.#channel.receive({
      content: pieces => {
        for (const piece of pieces) clock.received(piece.length)
        const wait = transaction.content(pieces)
        if (!wait) return undefined
        clock.block(performance.now())
        return wait.then(() => clock.unblock(performance.now()))
      },
      end: stray => this.#finish(transaction, stray),
    })
  }

  #finish(transaction: MailTransaction, stray: boolean): void {
    if (this.#over) return
    this.#phase = 'finishing'
    if (stray) this.#relay.context.metrics.strayLineEnd()
    const refused = stray && this.#relay.strayLineEnds === 'refuse'
    const finished = refused
      ? transaction.giveUp(localReply(550, '5.5.2', 'A bare <CR> or <LF> is not allowed in a message'))
      : transaction.finish()
    this.#replies.reserve(finished, reply => {
      this.#phase = 'commands'
      this.#transaction = undefined
      const ms = performance.now() - this.#mailAt
      const bytes = this.#clock?.bytes ?? 0
      this.#relay.context.metrics.message(reply.code, bytes, ms)
      this.#relay.log.debug({ session: this.#channel.id, code: reply.code, bytes, ms: Math.round(ms) }, 'message')
      transaction.concluded(this.#channel.listens)
      if (isPositive(reply)) this.#patience.forgive()
      if (this.#closed) this.#identity.upstream?.close()
    })
    this.#replies.whenEmpty(() => this.#channel.resume())
  }

  #startTls(line: Buffer, next: () => void): void {
    if (!this.#relay.hasCertificate) this.#refuse(localReply(502, '5.5.1', 'Command not implemented'), next)
    else if (this.#channel.secure) this.#refuse(localReply(503, '5.5.1', 'TLS is on already'), next)
    else if (line.toString('latin1', 8).trim() !== '') this.#refuse(localReply(501, '5.5.4', 'Syntax: STARTTLS'), next)
    else void this.#secure()
  }

  async #secure(): Promise<void> {
    try {
      // Everything learnt in plain text is forgotten (RFC 3207 section 4.2).
      await this.#resetTransaction()
      this.#identity.forget()
      this.#greeted = false
      this.#write(localReply(220, '', 'Ready to start TLS'))
      this.#channel.startTls()
    } catch (error) {
      this.#failed(error)
    }
  }

  #authenticate(line: Buffer, next: () => void): void {
    if (this.#outOfStep()) return
    if (!this.#greeted || !this.#esmtp) {
      this.#refuse(localReply(503, '5.5.1', 'Send EHLO first'), next)
      return
    }
    if (this.#transaction || this.#identity.upstream) {
      this.#refuse(localReply(503, '5.5.1', 'AUTH is not possible now'), next)
      return
    }
    this.#settle(this.#identity.authenticate(line.toString('latin1')), next)
  }

  /**
   * Ends the session when the client has taken too long.
   * @param isUpgrading a TLS handshake is under way
   */
  check(now: number, isUpgrading: boolean): void {
    if (this.#over) return
    const isReceiving = this.#phase === 'receiving'
    const isLate = isReceiving
      ? this.#clock?.isLate(now) === true
      : this.#phase === 'commands' &&
        this.#replies.length === 0 &&
        this.#patience.isOver(now, {
          partialSince: this.#channel.partialSince,
          stressed: this.#relay.stressed,
          isUpgrading,
        })
    if (!isLate) return
    this.#relay.context.metrics.refusedConnection('too slow')
    this.end(localReply(421, '4.4.2', `${this.#relay.name} Timeout, closing`))
    // Half a message, or half a TLS handshake: there is nothing to wait for.
    if (isReceiving || isUpgrading) this.#channel.destroy()
  }

  #write(reply: Reply): void {
    this.#writeText(formatReply(reply))
  }

  #writeText(text: string): void {
    if (!this.#channel.reachable) return
    this.#conversation?.said(text)
    this.#channel.write(text)
    this.#patience.clientsTurn(performance.now())
  }

  /** A fault of the program: the client gets a temporary failure, the process lives on. */
  #failed(error: unknown): void {
    this.#relay.fault(error)
    this.end(localReply(421, '4.3.0', 'Internal error, try again later'))
  }

  /** A reply of ours to a command that was wrong. */
  #refuse(reply: Reply, next: () => void): void {
    this.#patience.wrongCommand()
    this.#write(reply)
    this.#proceed(next)
  }

  #proceed(next: () => void): void {
    if (this.#patience.isExhausted) this.end(localReply(421, '4.7.0', 'Too many errors'))
    else this.#channel.whenWritable(next)
  }
}
