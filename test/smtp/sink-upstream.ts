/** An upstream that takes mail as an MTA does, keeps what it has accepted, and can be told to misbehave. */
import { createServer, type Server, type Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'

export interface AcceptedMail {
  readonly mail: string
  readonly rcpts: readonly string[]
  /** As it stood on the wire, dots doubled, without the final dot. */
  readonly data: string
  /** The identity of the session. */
  readonly user: string | undefined
}

/**
 * What to do about a command: a reply of its own, `drop` (close without a word), `take and drop` (the same when the
 * message is taken), or undefined for the usual.
 */
export type Misbehaviour = (command: string, session: SinkSession) => string | undefined | Promise<string | undefined>

export interface SinkSession {
  readonly number: number
  secure: boolean
  user: string | undefined
}

export class SinkUpstream {
  readonly accepted: AcceptedMail[] = []
  /** Command lines of all sessions, in order; `.` for the end of a message. */
  readonly commands: string[] = []
  /** Sessions begun. */
  sessions = 0
  /** Messages of which the end never came. */
  unfinished = 0
  keywords: string[]
  misbehave: Misbehaviour = () => undefined
  /** Offers STARTTLS. */
  secureContext: SecureContext | undefined
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(keywords: string[]) {
    this.keywords = keywords
    this.#server = createServer({ noDelay: true }, socket => this.#serve(socket))
  }

  static async start(
    keywords: string[] = ['PIPELINING', 'SIZE 50000000', 'ENHANCEDSTATUSCODES', '8BITMIME', 'DSN', 'SMTPUTF8'],
    port = 0,
  ): Promise<SinkUpstream> {
    const sink = new SinkUpstream(keywords)
    await new Promise<void>(resolve => {
      sink.#server.listen(port, '127.0.0.1', resolve)
    })
    return sink
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return address.port
  }

  get openConnections(): number {
    return this.#sockets.size
  }

  /** Stops reading from the sessions that are open; calling the result goes on. */
  pause(): () => void {
    const sockets = [...this.#sockets]
    for (const socket of sockets) socket.pause()
    return () => {
      for (const socket of sockets) socket.resume()
    }
  }

  /** Ends all connections without a word. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.disconnect()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #serve(plain: Socket): void {
    const session: SinkSession = { number: ++this.sessions, secure: false, user: undefined }
    let socket: Socket = plain
    let buffer = ''
    let mail: string | undefined
    let rcpts: string[] = []
    let inData = false
    let authLine: ((line: string) => string) | undefined
    let chain: Promise<void> = Promise.resolve()
    this.#sockets.add(plain)
    plain.on('close', () => {
      this.#sockets.delete(plain)
      if (inData) this.unfinished++
    })
    plain.on('error', () => undefined)

    const handle = async (line: string) => {
      if (plain.destroyed) return
      this.commands.push(line)
      const odd = await this.misbehave(line, session)
      if (odd === 'drop') {
        plain.destroy()
        return
      }
      const reply = odd ?? usual(line)
      if (reply === '') return
      const code = reply.slice(0, 3)
      if (/^MAIL/i.test(line) && code.startsWith('2')) mail = line
      if (/^RCPT/i.test(line) && code.startsWith('2')) rcpts.push(line)
      if (/^(?:RSET|EHLO|HELO)/i.test(line)) {
        mail = undefined
        rcpts = []
      }
      if (/^DATA/i.test(line) && code === '354') inData = true
      if (!socket.destroyed) socket.write(`${reply}\r\n`, 'latin1')
      if (/^STARTTLS/i.test(line) && code === '220') secure()
      if (code === '221' || code === '421') socket.end()
    }
    const usual = (line: string): string => {
      if (authLine) {
        const next = authLine
        authLine = undefined
        return next(line)
      }
      const verb = line.split(' ')[0]!.toUpperCase()
      switch (verb) {
        case 'EHLO': {
          const lines = ['sink.test', ...this.keywords]
          if (this.secureContext && !session.secure) lines.push('STARTTLS')
          return lines.map((text, at) => `250${at < lines.length - 1 ? '-' : ' '}${text}`).join('\r\n')
        }
        case 'STARTTLS':
          return '220 2.0.0 Go ahead'
        case 'AUTH':
          return this.#authenticate(line, session, next => (authLine = next))
        case 'DATA':
          return rcpts.length > 0 ? '354 End data with <CR><LF>.<CR><LF>' : '503 5.5.1 need RCPT'
        case 'RCPT':
          return mail === undefined ? '503 5.5.1 need MAIL' : '250 2.1.5 Ok'
        case 'MAIL':
          return mail === undefined ? '250 2.1.0 Ok' : '503 5.5.1 nested MAIL'
        case 'QUIT':
          return '221 2.0.0 Bye'
        default:
          return '250 2.0.0 Ok'
      }
    }
    const finish = async (data: string) => {
      this.commands.push('.')
      const odd = await this.misbehave('.', session)
      if (odd === 'drop') {
        plain.destroy()
        return
      }
      const reply = odd === undefined || odd === 'take and drop' ? '250 2.0.0 Ok: queued' : odd
      if (reply.startsWith('2')) this.accepted.push({ mail: mail ?? '', rcpts, data, user: session.user })
      mail = undefined
      rcpts = []
      if (odd === 'take and drop') {
        plain.destroy()
        return
      }
      if (!socket.destroyed) socket.write(`${reply}\r\n`, 'latin1')
      if (reply.startsWith('421')) socket.end()
    }
    const step = (): Promise<void> | undefined => {
      if (inData) {
        const end = buffer.startsWith('.\r\n') ? 0 : buffer.indexOf('\r\n.\r\n')
        if (end === -1) return undefined
        const skip = buffer.startsWith('.\r\n') ? 0 : 2
        const data = buffer.slice(0, end + skip)
        buffer = buffer.slice(end + skip + 3)
        inData = false
        return finish(data)
      }
      const end = buffer.indexOf('\n')
      if (end === -1) return undefined
      const line = buffer.slice(0, end).replace(/\r$/, '')
      buffer = buffer.slice(end + 1)
      return handle(line)
    }
    const drain = async () => {
      for (let next = step(); next; next = step()) await next
    }
    let held: string[] = []
    const read = (chunk: Buffer) => {
      const text = chunk.toString('latin1')
      held.push(text)
      // A large message is put together only where its end may be.
      if (inData && text.length > 100 && !text.includes('.')) return
      chain = chain.then(() => {
        buffer += held.join('')
        held = []
        return drain()
      })
    }
    const secure = () => {
      socket.removeListener('data', read)
      buffer = ''
      const tls = new TLSSocket(plain, {
        isServer: true,
        ...(this.secureContext && { secureContext: this.secureContext }),
      })
      tls.on('error', () => undefined)
      tls.on('data', read)
      socket = tls
      session.secure = true
      mail = undefined
      rcpts = []
    }
    plain.on('data', read)
    void (async () => {
      const odd = await this.misbehave('connect', session)
      if (odd === 'drop') plain.destroy()
      else plain.write(`${odd ?? '220 sink.test ESMTP'}\r\n`)
    })()
  }

  /** The password is `right`, whoever asks. */
  #authenticate(line: string, session: SinkSession, then: (next: (line: string) => string) => void): string {
    const [, mechanism = '', initial] = line.split(' ')
    const decoded = (text: string) => Buffer.from(text, 'base64').toString()
    const judge = (user: string, password: string) => {
      if (password !== 'right') return '535 5.7.8 Error: authentication failed'
      session.user = user
      return '235 2.7.0 Authentication successful'
    }
    const plain = (text: string) => {
      const [, user = '', password = ''] = decoded(text).split('\0')
      return judge(user, password)
    }
    const xoauth2 = (text: string) => {
      // oxlint-disable-next-line no-control-regex -- XOAUTH2 separates its fields with U+0001
      const match = /^user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01$/.exec(decoded(text))
      if (match?.[2] === 'right') return judge(match[1]!, 'right')
      then(() => '535 5.7.8 Token refused')
      return `334 ${Buffer.from('{"status":"401"}').toString('base64')}`
    }
    const ask = (challenge: string, next: (answer: string) => string) => {
      then(answer => (answer === '*' ? '501 5.7.0 Authentication aborted' : next(answer)))
      return `334 ${challenge}`
    }
    switch (mechanism.toUpperCase()) {
      case 'PLAIN':
        return initial === undefined ? ask('', plain) : plain(initial)
      case 'LOGIN': {
        const password = (user: string) => ask('UGFzc3dvcmQ6', answer => judge(decoded(user), decoded(answer)))
        return initial === undefined ? ask('VXNlcm5hbWU6', password) : password(initial)
      }
      case 'XOAUTH2':
        return initial === undefined ? ask('', xoauth2) : xoauth2(initial)
      default:
        return '504 5.5.4 Mechanism not supported'
    }
  }
}
