/** Listens for clients and hands each to a session; counts them, and knows who may do what. */
import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { createServer, isIP, type ListenOptions, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Logger } from '../../process/log.ts'
import { isLoopback } from '../../network/loopback.ts'
import type { NetworkList } from '../../network/network-list.ts'
import { ClientConnection, type ClientConnectionHooks } from './client-connection.ts'
import type { ClientSession } from './client-session.ts'
import { Deadlines, type Timed } from './deadlines.ts'
import type { RelayContext } from './relay-context.ts'
import type { Relay, StrayLineEnds } from './relay.ts'
import { localReply, type Reply } from './reply.ts'
import type { UpstreamAddress } from './upstream-connection.ts'
import { UpstreamPool, type UpstreamHooks } from './upstream-pool.ts'

export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface RelayServerOptions {
  readonly context: RelayContext
  readonly upstream: UpstreamAddress
  readonly upstreamHooks: UpstreamHooks
  readonly log: Logger
  readonly name: string
  readonly certificate: Certificate | undefined
  /** TLS from the first byte. */
  readonly implicitTls: boolean
  readonly allowNetworks: NetworkList
  readonly strayLineEnds: StrayLineEnds
  readonly conversation: Relay['conversation']
}

/** Connections that are being refused at a time; beyond that they are closed without a word. */
const refusedConnectionsMax = 500
const authFailureWindowMs = 600_000
/** Longest wait for messages under way when the process stops; what is not done by then is left to its client. */
const stopMsMax = 5_000
/** Longest wait for clients to close their side of a connection that is over, when the process stops. */
const farewellMsMax = 1_000
const authAddressesMax = 10_000
/** A client may close its side and still wait for the answer to its message. */
const socketOptions = { allowHalfOpen: true, noDelay: true }

export class RelayServer implements Relay, Timed {
  readonly context: RelayContext
  readonly pool: UpstreamPool
  readonly deadlines = new Deadlines()
  readonly log: Logger
  readonly name: string
  readonly token = randomBytes(9).toString('base64url')
  readonly strayLineEnds: StrayLineEnds
  readonly conversation: Relay['conversation']
  stopping = false
  readonly #options: RelayServerOptions
  /** Sessions and the addresses of their clients. */
  readonly #sessions = new Map<ClientSession, string>()
  readonly #perAddress = new Map<string, number>()
  readonly #authFailures = new Map<string, { count: number; since: number }>()
  readonly #servers: Server[] = []
  readonly #connections = new Set<ClientConnection>()
  #secureContext: SecureContext | undefined
  /** Tells the sessions of processes apart. */
  readonly #idPrefix = randomBytes(5).toString('hex')
  readonly #upstreamIsHere: boolean
  readonly #hooks: ClientConnectionHooks = {
    // Asked only where there is a certificate.
    secureContext: () => this.#secureContext!,
    closed: connection => this.#connections.delete(connection),
  }
  #connected = 0
  #whenEmpty: (() => void) | undefined

  constructor(options: RelayServerOptions) {
    this.#options = options
    this.#upstreamIsHere = isLoopback(options.upstream.host)
    this.context = options.context
    this.log = options.log
    this.name = options.name
    this.strayLineEnds = options.strayLineEnds
    this.conversation = options.conversation
    if (options.certificate) this.useCertificate(options.certificate)
    this.pool = new UpstreamPool(
      options.upstream,
      options.context.limits,
      this.deadlines,
      this.token,
      options.upstreamHooks,
    )
    this.deadlines.add(this)
  }

  /** Client connections that count. */
  get sessions(): number {
    return this.#sessions.size
  }

  /** All client connections, those included that are refused or being closed. */
  get connections(): number {
    return this.#connections.size
  }

  get stressed(): boolean {
    return this.#sessions.size >= this.context.limits.connectionsMax * 0.8
  }

  get hasCertificate(): boolean {
    return this.#secureContext !== undefined
  }

  /** Where it listens; undefined before `open`. */
  get port(): number | undefined {
    const address = this.#servers[0]?.address()
    return typeof address === 'object' ? address?.port : undefined
  }

  /**
   * Listens on every address of a host name: whoever says `localhost` may mean either family.
   * @param host empty: every address of the machine
   * @throws Error of the listener, such as EADDRINUSE
   */
  async open(host: string, port: number, reusePort: boolean): Promise<void> {
    const isName = host !== '' && isIP(host) === 0
    const addresses = isName ? (await lookup(host, { all: true })).map(({ address }) => address) : [host]
    let absent: unknown
    for (const address of new Set(addresses)) {
      const server = createServer(socketOptions, socket => this.#connect(socket))
      // Those who are being told that there is no place for them take places too.
      server.maxConnections = this.context.limits.connectionsMax + refusedConnectionsMax
      try {
        await listen(server, { ...(address !== '' && { host: address }), port, reusePort, backlog: 1024 })
      } catch (error) {
        // A name may have an address of a family that the machine does without.
        const isAbsent = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes((error as NodeJS.ErrnoException).code ?? '')
        if (!isAbsent) throw error
        absent = error
        continue
      }
      server.on('error', error => this.log.warn({ reason: error.message }, 'a connection could not be accepted'))
      this.#servers.push(server)
    }
    if (this.#servers.length === 0) throw absent
  }

  /** New certificate for new connections. */
  useCertificate(certificate: Certificate): void {
    this.#secureContext = createSecureContext({
      ...certificate,
      minVersion: 'TLSv1.2',
      honorCipherOrder: true,
      sessionIdContext: this.token,
    })
  }

  /** Refuses new sessions, lets those with a message under way come to their end, then stops. */
  async stop(): Promise<void> {
    this.stopping = true
    const farewell = localReply(421, '4.3.2', 'Shutting down')
    for (const session of this.#sessions.keys()) session.endWhenIdle(farewell)
    if (this.#sessions.size > 0) {
      await new Promise<void>(resolve => {
        const late = setTimeout(resolve, stopMsMax)
        this.#whenEmpty = () => {
          clearTimeout(late)
          resolve()
        }
      })
    }
    this.pool.close()
    // Clients that were told to go may take a moment to close their side; they are not worth a longer one.
    for (const connection of this.#connections) if (!connection.closing) connection.destroy()
    const late = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy()
    }, farewellMsMax)
    await Promise.all(this.#servers.map(server => new Promise(resolve => server.close(resolve))))
    clearTimeout(late)
    this.deadlines.close()
  }

  admit(session: ClientSession, address: string): Reply | undefined {
    const { limits, metrics } = this.context
    metrics.connection()
    if (this.stopping) return localReply(421, '4.3.2', 'Shutting down')
    if (this.#sessions.size >= limits.connectionsMax) {
      metrics.refusedConnection('too many connections')
      return localReply(421, '4.3.2', 'Too many connections')
    }
    const here = this.#perAddress.get(address) ?? 0
    if (here >= limits.connectionsPerAddressMax && !this.mayRelay(address)) {
      metrics.refusedConnection('too many connections of one address')
      return localReply(421, '4.7.0', 'Too many connections from your address')
    }
    this.#sessions.set(session, address)
    this.#perAddress.set(address, here + 1)
    return undefined
  }

  leave(session: ClientSession): void {
    const address = this.#sessions.get(session)
    if (address === undefined) return
    this.#sessions.delete(session)
    const here = (this.#perAddress.get(address) ?? 1) - 1
    if (here > 0) this.#perAddress.set(address, here)
    else this.#perAddress.delete(address)
    if (this.#sessions.size === 0) this.#whenEmpty?.()
  }

  mayRelay(address: string): boolean {
    return this.#options.allowNetworks.has(address)
  }

  authAllowed(secure: boolean, address: string, upstreamSecure: boolean): boolean {
    return (secure || isLoopback(address)) && (upstreamSecure || this.#upstreamIsHere)
  }

  authBlocked(address: string): boolean {
    return (this.#authFailures.get(address)?.count ?? 0) >= this.context.limits.authFailuresPerAddressMax
  }

  authFailed(address: string): boolean {
    const known = this.#authFailures.get(address)
    if (known) known.count++
    else if (this.#authFailures.size < authAddressesMax) {
      this.#authFailures.set(address, { count: 1, since: performance.now() })
    }
    return this.authBlocked(address)
  }

  /** Of Deadlines. */
  check(now: number): void {
    for (const [address, { since }] of this.#authFailures) {
      if (now - since < authFailureWindowMs) break
      this.#authFailures.delete(address)
    }
  }

  sessionError(error: Error): void {
    this.log.debug({ reason: error.message }, 'client connection failed')
  }

  fault(error: unknown): void {
    this.log.error({ err: error }, 'a session failed')
  }

  #connect(socket: Socket): void {
    const id = `${this.#idPrefix}-${(++this.#connected).toString(36)}`
    const connection = new ClientConnection(this, socket, id, this.#hooks)
    this.#connections.add(connection)
    connection.open(this.#options.implicitTls)
  }
}

async function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}
