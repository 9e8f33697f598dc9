/**
 * A client's session. smtp-server's connection carries the socket (TLS, closing, errors); the commands are ours, for its
 * own answer before anybody else is asked, with texts of their own, and its greeting waits 100 ms.
 *
 * MAIL and RCPT may be answered later than the next command is read, so that a pipelined envelope stays pipelined
 * towards the upstream; replies keep the order of the commands. Every other command waits until all is answered.
 */
import type { Socket } from 'node:net'
import type { SMTPServer } from 'smtp-server'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import { AuthRelay } from './auth-relay.ts'
import { announce } from './capabilities.ts'
import { readMail, readRcpt, Refused } from './envelope-command.ts'
import { InboundStream } from './inbound-stream.ts'
import { MailTransaction } from './mail-transaction.ts'
import { MessageClock } from './message-clock.ts'
import { ReplyQueue } from './reply-queue.ts'
import { formatReply, isPositive, localReply, type Reply } from './reply.ts'
import type { Relay } from './relay.ts'
import type { Timed } from './deadlines.ts'
import { UpstreamUnavailable } from './upstream-connection.ts'

type Phase = 'commands' | 'receiving' | 'finishing'

export class ClientConnection extends SMTPConnection implements Timed {
  readonly #relay: Relay
  readonly #replies = new ReplyQueue({
    write: (text, last) => {
      this.#writeText(text)
      if (!last) return
      this.#over = true
      this.close()
    },
    failed: error => this.#failed(error),
  })
  #transaction: MailTransaction | undefined
  #auth: AuthRelay | undefined
  #phase: Phase = 'commands'
  #esmtp = false
  #greeted = false
  #errors = 0
  #idleCommands = 0
  #over = false
  // Clocks, in the time of performance.now().
  #idleSince = performance.now()
  #mailAt = 0
  #clock: MessageClock | undefined

  constructor(server: SMTPServer, socket: Socket, options: SMTPConnectionOptions | null | undefined, relay: Relay) {
    super(server, socket, options)
    this.#relay = relay
  }

  /** Whether this client may relay without authentication. */
  get trusted(): boolean {
    return this.#relay.mayRelay(this.remoteAddress)
  }

  get #stream(): InboundStream | undefined {
    return this._parser instanceof InboundStream ? this._parser : undefined
  }

  get #authenticated(): boolean {
    return this.#auth?.upstream !== undefined
  }

  /** Answers and ends the session when it has nothing under way, as when the process stops. */
  endWhenIdle(reply: Reply): void {
    if (this.#phase === 'commands' && this.#replies.length === 0 && !this.#transaction) this.#end(reply)
  }

  override init(): void {
    this._setListeners(() => {
      this._setClientHostname('')
      const refusal = this.#relay.admit(this)
      this._resetSession()
      if (refusal) {
        this.#end(refusal)
        return
      }
      this.#relay.deadlines.add(this)
      this.#relay.log.debug({ session: this.id, client: this.remoteAddress }, 'session begins')
      // Whoever talks before the greeting has been read by then.
      setImmediate(() => {
        if (this.#over || this._closing || this._closed) return
        this._ready = true
        this.#idleSince = performance.now()
        this.#write(localReply(220, '', `${this.#relay.name} ESMTP ${this.#relay.token}`))
      })
    })
  }

  /** Called by the constructor of the base class too, when no member of this class exists yet. */
  override _createParser(): InboundStream {
    const stream = new InboundStream({
      command: (line, next) => this.#command(line, next),
      tooLong: () => this.#end(localReply(500, '5.5.2', 'Command line too long')),
      lineBytesMax: () => {
        const { limits } = this.#relay.context
        return this.#auth?.exchanging ? limits.authLineBytesMax : limits.commandBytesMax
      },
    })
    stream.on('error', () => this.close())
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
    const first = !this._closed
    super._onClose()
    if (first) this.#closed()
  }

  override close(): void {
    this.#relay.leave(this)
    super.close()
  }

  #closed(): void {
    this.#over = true
    this.#relay.deadlines.delete(this)
    this.#relay.leave(this)
    this.#relay.log.debug({ session: this.id }, 'session ends')
    const transaction = this.#transaction
    this.#transaction = undefined
    const source = this.#auth?.upstream
    void (async () => {
      await transaction?.abort(this.#phase)
      if (this.#phase !== 'finishing') source?.close()
    })().catch((error: unknown) => this.#relay.fault(error))
    this.#auth?.close()
  }

  // Replies.

  /** All that our base class says by itself, such as to STARTTLS. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const enhanced =
      context === false || code === 220 || (code >= 300 && code < 400) ? '' : `${Math.floor(code / 100)}.0.0`
    const lines = [data ?? ''].flat().map(line => (enhanced === '' ? line : `${enhanced} ${line}`))
    this.#write({ code, lines })
    if (code === 421) this.close()
  }

  #write(reply: Reply): void {
    this.#writeText(formatReply(reply))
  }

  #writeText(text: string): void {
    if (this._upgrading || this._socket.destroyed || !this._socket.writable) return
    this.#relay.conversation?.(this.id, 'S', text)
    this._socket.write(text, 'latin1')
    this.#idleSince = performance.now()
  }

  #end(reply: Reply): void {
    if (this.#over) return
    this.#over = true
    this.#relay.leave(this)
    this.#write(reply)
    this.close()
  }

  /** A fault of the program: the client gets a temporary failure, the process lives on. */
  #failed(error: unknown): void {
    this.#relay.fault(error)
    this.#end(localReply(421, '4.3.0', 'Internal error, try again later'))
  }

  /** A reply of ours to a command that was wrong. */
  #refuse(reply: Reply, next: () => void): void {
    this.#errors++
    this.#write(reply)
    this.#proceed(next)
  }

  #proceed(next: () => void): void {
    const { errorsMax, idleCommandsMax } = this.#relay.context.limits
    if (this.#errors > errorsMax || this.#idleCommands > idleCommandsMax) {
      this.#end(localReply(421, '4.7.0', 'Too many errors'))
    } else if (this._socket.writableNeedDrain) this._socket.once('drain', next)
    else next()
  }

  // Commands.

  #command(line: Buffer, next: () => void): void {
    // What came in plain text before the TLS handshake is not heard.
    if (this._upgrading || this.#over) return
    if (!this._ready) {
      this.#relay.context.metrics.refusedConnection('early talker')
      this.#end(localReply(554, '5.5.0', 'Talking before the greeting'))
      return
    }
    const verb = verbOf(line)
    const log = this.#relay.conversation
    if (log)
      log(this.id, 'C', this.#auth?.exchanging ? '*hidden*\r\n' : `${withoutCredentials(line.toString('latin1'))}\r\n`)
    if (verb === 'RCPT' && !this.#auth?.exchanging && this.#transaction && this.#replies.length < 1000) {
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
      this.#end(localReply(421, '4.3.2', 'Shutting down'))
      return
    }
    if (this.#auth?.exchanging) {
      this.#settle(this.#auth.answer(line.toString('latin1')), next)
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
        this.#idleCommands++
        this.#settle(this.#resetTransaction(), next)
        return
      case 'NOOP':
        this.#idleCommands++
        this.#write(localReply(250, '2.0.0', 'Ok'))
        this.#proceed(next)
        return
      case 'QUIT':
        this.#end(localReply(221, '2.0.0', 'Bye'))
        return
      case 'STARTTLS':
        this.#startTls(line, next)
        return
      case 'AUTH':
        this.#authenticate(line, next)
        return
      case 'VRFY':
      case 'EXPN':
      case 'HELP':
      case 'TURN':
      case 'ETRN':
      case 'BDAT':
      case 'XCLIENT':
      case 'XFORWARD':
        this.#refuse(localReply(502, '5.5.1', 'Command not implemented'), next)
        return
      default:
        if (/^(?:GET|POST|PUT|HEAD|OPTIONS|CONNECT|DELETE)$/.test(verb) && line.includes(' HTTP/')) {
          this.#end(localReply(421, '4.7.0', 'This is not a web server'))
        } else this.#refuse(localReply(500, '5.5.2', 'Command not recognized'), next)
    }
  }

  /** Answers with what comes, then reads on. */
  #settle(pending: Promise<Reply>, next: () => void): void {
    this.#replies.reserve(pending)
    this.#replies.whenEmpty(() => this.#proceed(next))
  }

  /** Whether the client has sent more than it may before it has the answer (RFC 2920 section 3.1); then it is over. */
  #outOfStep(): boolean {
    if (!this.#stream?.more) return false
    this.#relay.context.metrics.refusedConnection('out of step')
    this.#end(localReply(554, '5.5.0', 'SMTP protocol synchronization error'))
    return true
  }

  #hello(verb: 'EHLO' | 'HELO', line: Buffer, next: () => void): void {
    if (this.#outOfStep()) return
    const name = line.toString('latin1', 5).trim()
    // oxlint-disable-next-line no-control-regex -- control characters are what must not pass
    if (name === '' || name.length > 255 || /[\x00-\x20\x7f-\xff]/.test(name)) {
      this.#refuse(localReply(501, '5.5.4', `Syntax: ${verb} hostname`), next)
      return
    }
    this.hostNameAppearsAs = name.toLowerCase()
    this.#esmtp = verb === 'EHLO'
    this.#settle(this.#welcome(), next)
  }

  async #welcome(): Promise<Reply> {
    await this.#resetTransaction()
    let upstream
    try {
      upstream = this.#auth?.upstream?.connection ?? (await this.#relay.pool.capabilities())
    } catch (error) {
      if (!(error instanceof UpstreamUnavailable)) throw error
      return localReply(421, '4.3.2', 'Upstream not available, try again later')
    }
    this.#greeted = true
    const first = this.#relay.name
    if (!this.#esmtp) return { code: 250, lines: [first] }
    const own = {
      messageBytesMax: this.#relay.context.limits.messageBytesMax,
      startTls: this.#relay.hasCertificate && !this.secure,
      auth: !this.#authenticated && this.#relay.authAllowed(this.secure, this.remoteAddress, upstream.secure),
    }
    return { code: 250, lines: [first, ...announce(upstream.capabilities, own)] }
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
    const bound = this.#auth?.upstream
    if (bound && !bound.connection.alive) {
      this.#end(localReply(421, '4.4.2', 'Upstream connection lost'))
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
    const transaction = new MailTransaction(this.#relay.context, bound ?? this.#relay.pool)
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
      if (this.trusted || this.#authenticated) pending = transaction.rcpt(command)
      else throw new Refused(localReply(550, '5.7.1', 'Relay access denied'))
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.#errors++
      pending = Promise.resolve(error.reply)
    }
    this.#replies.reserve(pending)
    // A session that is at its limit of errors ends as soon as all is answered.
    if (this.#errors > this.#relay.context.limits.errorsMax) this.#replies.whenEmpty(() => this.#proceed(next))
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
    this.#stream!.receive({
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
      this.#relay.log.debug({ session: this.id, code: reply.code, bytes, ms: Math.round(ms) }, 'message')
      transaction.concluded(this._socket.writable && !this._closed)
      if (isPositive(reply)) {
        this.#errors = 0
        this.#idleCommands = 0
      }
      if (this._closed) this.#auth?.upstream?.close()
    })
    this.#replies.whenEmpty(() => this.#stream?.resume())
  }

  #startTls(line: Buffer, next: () => void): void {
    if (!this.#relay.hasCertificate) this.#refuse(localReply(502, '5.5.1', 'Command not implemented'), next)
    else if (this.secure) this.#refuse(localReply(503, '5.5.1', 'TLS is on already'), next)
    else if (line.toString('latin1', 8).trim() !== '') this.#refuse(localReply(501, '5.5.4', 'Syntax: STARTTLS'), next)
    else {
      // Everything learnt in plain text is forgotten (RFC 3207 section 4.2).
      void this.#resetTransaction().then(
        () => {
          this.#auth?.close()
          this.#auth = undefined
          this.#greeted = false
          this.handler_STARTTLS(line, next)
        },
        (error: unknown) => this.#failed(error),
      )
    }
  }

  #authenticate(line: Buffer, next: () => void): void {
    if (this.#outOfStep()) return
    if (!this.#greeted || !this.#esmtp) {
      this.#refuse(localReply(503, '5.5.1', 'Send EHLO first'), next)
      return
    }
    if (this.#transaction || this.#authenticated) {
      this.#refuse(localReply(503, '5.5.1', 'AUTH is not possible now'), next)
      return
    }
    this.#auth ??= new AuthRelay(this.#relay, this)
    this.#settle(this.#auth.begin(line.toString('latin1')), next)
  }

  // Time.

  check(now: number): void {
    if (this.#over) return
    const { limits } = this.#relay.context
    const late =
      this.#phase === 'receiving'
        ? this.#clock?.isLate(now) === true
        : this.#phase === 'commands' &&
          this.#replies.length === 0 &&
          (now - this.#idleSince > (this.#relay.stressed ? limits.stressIdleMs : limits.idleMs) ||
            (this.#stream !== undefined &&
              this.#stream.partialSince > 0 &&
              now - this.#stream.partialSince > limits.commandMs) ||
            (this._upgrading && now - this.#idleSince > limits.commandMs))
    if (!late) return
    this.#relay.context.metrics.refusedConnection('too slow')
    this.#end(localReply(421, '4.4.2', `${this.#relay.name} Timeout, closing`))
    // Half a message, or half a TLS handshake: there is nothing to wait for.
    if (this.#phase === 'receiving' || this._upgrading) this._socket.destroy()
  }
}

function verbOf(line: Buffer): string {
  const end = line.indexOf(32)
  return line.toString('latin1', 0, end === -1 ? line.length : end).toUpperCase()
}

function withoutCredentials(line: string): string {
  return line.replace(/^(AUTH\s+\S+\s).+$/i, '$1*hidden*')
}
