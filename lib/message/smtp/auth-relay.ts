/**
 * AUTH (RFC 4954), word for word between client and upstream: the wrapper grants nothing itself and keeps no
 * credentials. The upstream connection that was authenticated serves this client only, until one of them ends.
 */
import { localReply, type Reply } from './reply.ts'
import type { Relay } from './relay.ts'
import { troubleReply, type UpstreamSource } from './relay-context.ts'
import { answersAuth, type UpstreamConnection, UpstreamLost } from './upstream-connection.ts'

/** The upstream connection with a client's identity. */
export class BoundUpstream implements UpstreamSource {
  readonly connection: UpstreamConnection
  #closed = false

  constructor(connection: UpstreamConnection) {
    this.connection = connection
  }

  async acquire(): Promise<UpstreamConnection> {
    if (this.connection.alive) return this.connection
    throw new UpstreamLost('the authenticated upstream connection is gone')
  }

  release(): void {
    if (this.#closed) this.connection.quit()
  }

  discard(): void {
    // Nobody else knows of it.
  }

  close(): void {
    this.#closed = true
    this.connection.quit()
  }
}

/** Who authenticates. */
export interface AuthClient {
  readonly secure: boolean
  readonly remoteAddress: string
}

export class AuthRelay {
  /** Set once the upstream has said 235. */
  upstream: BoundUpstream | undefined
  /** The next line of the client belongs to the exchange. */
  exchanging = false
  readonly #relay: Relay
  readonly #client: AuthClient
  #connection: UpstreamConnection | undefined
  #failures = 0

  constructor(relay: Relay, client: AuthClient) {
    this.#relay = relay
    this.#client = client
  }

  /** @param line the whole AUTH command */
  async begin(line: string): Promise<Reply> {
    const match = /^AUTH +([\w-]+)(?: +([A-Za-z0-9+/=]+))? *$/i.exec(line)
    if (!match) return localReply(501, '5.5.4', 'Syntax: AUTH mechanism')
    const { secure, remoteAddress } = this.#client
    if (this.#relay.authBlocked(remoteAddress)) return localReply(421, '4.7.0', 'Too many failed attempts')
    let connection
    try {
      connection = await this.#relay.pool.acquire(true)
    } catch (error) {
      return troubleReply(error)
    }
    this.#relay.pool.discard(connection)
    if (!this.#relay.authAllowed(secure, remoteAddress, connection.secure)) {
      connection.quit()
      return secure
        ? localReply(454, '4.7.0', 'The way to the upstream is not encrypted')
        : localReply(538, '5.7.11', 'Encryption required for authentication')
    }
    if (!connection.capabilities.auth.includes(match[1]!.toUpperCase())) {
      connection.quit()
      return localReply(504, '5.5.4', 'Mechanism not offered')
    }
    this.#connection = connection
    return this.#exchange(line.trimEnd())
  }

  /** A line of the exchange. */
  async answer(line: string): Promise<Reply> {
    if (/^(?:[A-Za-z0-9+/=]*|\*)$/.test(line)) return this.#exchange(line)
    // As if the client had given up; the upstream must not see what is no base64.
    const reply = await this.#exchange('*')
    return reply.code === 421 ? reply : localReply(501, '5.5.2', 'Bad base64')
  }

  /** Ends what was begun and not completed. */
  close(): void {
    this.#connection?.quit()
    this.#connection = undefined
  }

  async #exchange(line: string): Promise<Reply> {
    const connection = this.#connection!
    this.exchanging = false
    let reply: Reply
    try {
      reply = await connection.command(line, this.#relay.context.limits.upstreamReplyMs, answersAuth)
    } catch (error) {
      this.#connection = undefined
      return troubleReply(error)
    }
    if (reply.code === 334) {
      this.exchanging = true
      return reply
    }
    this.#connection = undefined
    this.#relay.context.metrics.upstreamReply('AUTH', reply.code)
    if (reply.code === 235) {
      this.upstream = new BoundUpstream(connection)
      return reply
    }
    connection.quit()
    const { authFailuresMax, authFailureDelayMs } = this.#relay.context.limits
    this.#failures++
    const blocked = this.#relay.authFailed(this.#client.remoteAddress)
    await new Promise<void>(resolve => {
      setTimeout(resolve, authFailureDelayMs)
    })
    if (blocked || this.#failures >= authFailuresMax) return localReply(421, '4.7.0', 'Too many failed attempts')
    return reply
  }
}
