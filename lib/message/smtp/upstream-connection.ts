/**
 * One connection to the upstream MTA. nodemailer secures it (implicit TLS, STARTTLS with everything said in plain text
 * forgotten) and says EHLO; from then on this class owns the socket and speaks SMTP step by step, which nodemailer's
 * `send` of a whole envelope can't.
 */
import type { Socket } from 'node:net'
import SMTPConnection from 'nodemailer/lib/smtp-connection'
import { isLoopback } from '../../network/loopback.ts'
import { readCapabilities, type Capabilities } from './capabilities.ts'
import type { Deadlines } from './deadlines.ts'
import { joinSmall } from './piece-list.ts'
import { isPositive, ReplyReader, type Reply } from './reply.ts'
import type { RelayLimits } from './limits.ts'

export type UpstreamTls = 'none' | 'opportunistic' | 'required' | 'implicit'

export interface UpstreamAddress {
  readonly host: string
  readonly port: number
  readonly tls: UpstreamTls
  /** Take any certificate. */
  readonly insecure: boolean
  /** What we call ourselves in EHLO. */
  readonly name: string
}

/** The connection ended before the reply came. The message names why, without addresses. */
export class UpstreamLost extends Error {
  override readonly name = 'UpstreamLost'
}

/** No connection could be had. */
export class UpstreamUnavailable extends Error {
  override readonly name = 'UpstreamUnavailable'
}

/** Whether a reply of this code can be one to what was asked. */
type IsAnswer = (code: number) => boolean

/** To most commands, and to a message: it is done, or it is refused. */
const isFinal: IsAnswer = code => code < 300 || code >= 400
/** To DATA: the message may come, or it is refused. */
export const answersData: IsAnswer = code => code === 354 || code >= 400
/** To a line of AUTH: the client is who it says, or the exchange goes on, or it is refused. */
export const answersAuth: IsAnswer = code => code === 235 || code === 334 || code >= 400

interface Waiting {
  readonly isAnswer: IsAnswer
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
  readonly timeoutMs: number
}

export class UpstreamConnection {
  readonly capabilities: Capabilities
  readonly secure: boolean
  readonly openedAt: number
  /** Transactions begun. */
  transactions = 0
  /** Negative replies since it last accepted a message. */
  refusals = 0
  /** Since when nobody uses it, `performance.now()`. */
  idleSince = 0
  readonly #socket: Socket
  readonly #deadlines: Deadlines
  readonly #reader = new ReplyReader()
  readonly #waiting: Waiting[] = []
  readonly #unsent: string[] = []
  #corked = false
  #deadline = Number.POSITIVE_INFINITY
  #lost: Error | undefined
  #drained: (() => void)[] = []
  #onLost: (() => void) | undefined
  readonly #tellTrouble: (reason: string) => void

  /** @param tellTrouble takes why the connection was lost while an answer was waited for; never an address */
  constructor(
    socket: Socket,
    ehloLines: readonly string[],
    secure: boolean,
    deadlines: Deadlines,
    tellTrouble: (reason: string) => void,
  ) {
    this.#socket = socket
    this.#deadlines = deadlines
    this.#tellTrouble = tellTrouble
    this.secure = secure
    this.openedAt = performance.now()
    this.capabilities = readCapabilities(ehloLines.slice(1))
    socket.setTimeout(0)
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#read(chunk))
    socket.on('drain', () => this.#resumeWriters())
    socket.on('error', error => this.#lose(new UpstreamLost(`the upstream connection failed: ${error.message}`)))
    socket.on('close', () => this.#lose(new UpstreamLost('the upstream closed the connection')))
    socket.on('end', () => this.#lose(new UpstreamLost('the upstream closed the connection')))
    deadlines.add(this)
  }

  /** Whether it can be used. */
  get alive(): boolean {
    return this.#lost === undefined
  }

  /** Called once when the connection is lost. */
  onLost(listener: (() => void) | undefined): void {
    this.#onLost = listener
  }

  /**
   * Sends a command and settles with its reply. Pipelined when the upstream takes it, else sent once the earlier
   * commands were answered.
   * @param line without CRLF
   * @throws {UpstreamLost} also when what it hears is no answer to this: then it is not known what the others answer
   */
  command(line: string, timeoutMs: number, isAnswer: IsAnswer = isFinal): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#lost) {
        reject(this.#lost)
        return
      }
      const free = this.capabilities.pipelining || this.#waiting.length === 0
      this.#expect({ isAnswer, resolve, reject, timeoutMs })
      if (free) this.#write(line)
      else this.#unsent.push(line)
    })
  }

  /**
   * Sends a piece of the message. False asks to wait for `drained`.
   */
  send(pieces: readonly Buffer[]): boolean {
    if (this.#lost) return true
    this.#cork()
    let room = true
    for (const piece of joinSmall(pieces)) room = this.#socket.write(piece)
    return room
  }

  /** Settles when there is room to send, or when the connection is lost. */
  async drained(): Promise<void> {
    if (this.#lost || !this.#socket.writableNeedDrain) return
    await new Promise<void>(resolve => this.#drained.push(resolve))
  }

  /**
   * Expects the reply to the message; called before its first piece is sent, for an upstream may answer early. It is
   * waited for without end until `bodySent`.
   * @throws {UpstreamLost}
   */
  finalReply(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#lost) reject(this.#lost)
      else {
        const heard = (reply: Reply) => {
          if (isPositive(reply)) this.refusals = 0
          resolve(reply)
        }
        this.#expect({ isAnswer: isFinal, resolve: heard, reject, timeoutMs: Number.POSITIVE_INFINITY })
      }
    })
  }

  /** The final dot is on its way: the reply must come within this time. */
  bodySent(timeoutMs: number): void {
    this.#deadline = performance.now() + timeoutMs
  }

  /** Ends it now, as after half a message. Nothing more is sent. */
  destroy(): void {
    this.#lose(new UpstreamLost('the connection was given up'), true)
  }

  /** Ends it politely. */
  quit(): void {
    if (this.#lost) return
    this.#socket.end('QUIT\r\n')
    this.#lost = new UpstreamLost('the connection is closed')
    this.#deadlines.delete(this)
    // A peer that doesn't close its side must not hold ours.
    const linger = setTimeout(() => this.#socket.destroy(), 2_000)
    linger.unref()
    this.#socket.once('close', () => clearTimeout(linger))
  }

  /** Of Deadlines. */
  check(now: number): void {
    if (now >= this.#deadline) this.#lose(new UpstreamLost('the upstream did not answer in time'))
  }

  #expect(waiting: Waiting): void {
    this.#waiting.push(waiting)
    if (this.#waiting.length === 1) this.#deadline = performance.now() + waiting.timeoutMs
  }

  #write(line: string): void {
    this.#cork()
    this.#socket.write(`${line}\r\n`, 'utf8')
  }

  /** What is written within one turn of the event loop goes out in one write. */
  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#corked = false
      this.#socket.uncork()
    })
  }

  #read(chunk: Buffer): void {
    if (this.#lost) return
    let replies
    try {
      replies = this.#reader.read(chunk)
    } catch (error) {
      this.#lose(new UpstreamLost(`the upstream does not speak SMTP: ${(error as Error).message}`))
      return
    }
    for (const reply of replies) {
      const [waiting] = this.#waiting
      if (waiting === undefined) {
        // Unasked: 421 before closing, or a server out of step. Neither connection can be trusted any more.
        this.#lose(new UpstreamLost(`the upstream ended the session: ${reply.code}`))
        return
      }
      if (!waiting.isAnswer(reply.code)) {
        this.#lose(new UpstreamLost('the upstream is out of step'))
        return
      }
      this.#waiting.shift()
      const next = this.#unsent.shift()
      if (next !== undefined) this.#write(next)
      this.#deadline = this.#waiting[0] ? performance.now() + this.#waiting[0].timeoutMs : Number.POSITIVE_INFINITY
      if (reply.code >= 400) this.refusals++
      waiting.resolve(reply)
      if (reply.code === 421) {
        this.#lose(new UpstreamLost('the upstream ended the session: 421'))
        return
      }
    }
  }

  #resumeWriters(): void {
    const waiting = this.#drained
    this.#drained = []
    for (const resume of waiting) resume()
  }

  #lose(error: Error, isOurs = false): void {
    if (this.#lost) return
    this.#lost = error
    // One that was kept and which the other side closes meanwhile is nothing to tell.
    if (!isOurs && this.#waiting.length > 0) this.#tellTrouble(error.message)
    this.#deadlines.delete(this)
    this.#socket.destroy()
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
    this.#resumeWriters()
    this.#onLost?.()
  }
}

/** What nodemailer's connection holds besides its published members; a socket changes hands only once. */
interface Opened {
  _socket: Socket | false | null
  _responseQueue: unknown[]
  _remainder: string
  _onSocketData: (chunk: Buffer) => void
  _onSocketError: (error: Error) => void
  _onSocketClose: () => void
  _onSocketEnd: () => void
  _onSocketTimeout: () => void
  _actionGreeting: (text: string) => void
}

/**
 * Reads the greeting, secures the connection as asked, and says EHLO.
 * @param connection just opened
 * @param ownToken the word in our own greeting by which we know ourselves
 * @throws {UpstreamUnavailable}
 */
export async function openUpstream(
  connection: Socket,
  to: UpstreamAddress,
  ownToken: string,
  limits: RelayLimits,
  deadlines: Deadlines,
  tellTrouble: (reason: string) => void,
): Promise<UpstreamConnection> {
  const opener = new SMTPConnection({
    connection,
    host: to.host,
    name: to.name,
    secure: to.tls === 'implicit',
    ignoreTLS: to.tls === 'none',
    requireTLS: to.tls === 'required',
    opportunisticTLS: to.tls === 'opportunistic',
    connectionTimeout: limits.upstreamConnectMs,
    greetingTimeout: limits.upstreamConnectMs,
    socketTimeout: limits.upstreamConnectMs,
    socketCloseTimeout: 0,
    maxResponseSize: 64 * 1024,
    logger: false,
    tls: {
      minVersion: 'TLSv1.2',
      // Nobody stands between two processes of one machine, and a local MTA rarely has a certificate for its loopback name.
      rejectUnauthorized: !to.insecure && !(isLoopback(to.host) && to.tls === 'opportunistic'),
    },
  })
  const opened = opener as unknown as Opened
  await new Promise<void>((resolve, reject) => {
    // Seen before EHLO is said: to answer that, we would ask ourselves in turn.
    const greeted = opened._actionGreeting
    opened._actionGreeting = text => {
      if (!text.includes(ownToken)) {
        greeted.call(opener, text)
        return
      }
      opener.close()
      reject(new UpstreamUnavailable('it is this wrapper itself: --out-hostport leads back to --in-hostport'))
    }
    const fail = (error: Error & { response?: string | undefined }) => {
      const said = error.response ? `it answered ${error.response.slice(0, 3)}` : withoutInternals(error.message)
      reject(new UpstreamUnavailable(said))
    }
    opener.once('error', fail)
    opener.connect(error => {
      opener.off('error', fail)
      opener.on('error', () => undefined)
      if (error) fail(error)
      else resolve()
    })
  })
  const socket = opened._socket
  if (!socket || opened._responseQueue.length > 0 || opened._remainder !== '') {
    opener.close()
    throw new UpstreamUnavailable('it spoke out of turn')
  }
  socket.removeListener('data', opened._onSocketData)
  socket.removeListener('error', opened._onSocketError)
  socket.removeListener('close', opened._onSocketClose)
  socket.removeListener('end', opened._onSocketEnd)
  socket.removeListener('timeout', opened._onSocketTimeout)
  // The last thing said is the answer to EHLO, or to HELO where EHLO was refused.
  const ehlo = String(opener.lastServerResponse)
  const lines = ehlo.split('\n').map(line => line.slice(4))
  return new UpstreamConnection(socket, lines, opener.secure, deadlines, tellTrouble)
}

/** Of what OpenSSL says, `0A00010B:SSL routines:tls_validate_record_header:wrong version number:../deps/…`, the words. */
function withoutInternals(message: string): string {
  const words = /SSL routines:[^:]*:([^:]+)/.exec(message)?.[1]
  return words === undefined ? message : `TLS: ${words}`
}
