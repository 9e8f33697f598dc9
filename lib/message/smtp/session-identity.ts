/** Who a client is, by its address or by AUTH, and what it may do because of it. */
import { AuthRelay, type AuthClient, type BoundUpstream } from './auth-relay.ts'
import type { OwnTerms } from './capabilities.ts'
import type { Relay } from './relay.ts'
import { localReply, type Reply } from './reply.ts'
import type { UpstreamConnection } from './upstream-connection.ts'

export class SessionIdentity {
  readonly #relay: Relay
  readonly #client: AuthClient
  #auth: AuthRelay | undefined
  /** The client could authenticate, as its last EHLO was told. */
  #canAuthenticate = false

  constructor(relay: Relay, client: AuthClient) {
    this.#relay = relay
    this.#client = client
  }

  /** The next line of the client belongs to an AUTH exchange. */
  get exchanging(): boolean {
    return this.#auth?.exchanging === true
  }

  /** The connection that has the client's identity, once the upstream has accepted it. */
  get upstream(): BoundUpstream | undefined {
    return this.#auth?.upstream
  }

  /** What is offered after EHLO besides what the upstream offers. */
  termsWith({ capabilities, secure: upstreamSecure }: Pick<UpstreamConnection, 'capabilities' | 'secure'>): OwnTerms {
    const { secure, remoteAddress } = this.#client
    const startTls = this.#relay.hasCertificate && !secure
    const isSafe = (overTls: boolean) => this.#relay.authAllowed(overTls, remoteAddress, upstreamSecure)
    // Where AUTH needs TLS first, it is on offer as soon as TLS is.
    this.#canAuthenticate = capabilities.auth.length > 0 && isSafe(secure || startTls)
    return {
      messageBytesMax: this.#relay.context.limits.messageBytesMax,
      startTls,
      auth: this.upstream === undefined && isSafe(secure),
    }
  }

  /** Why the client may not send mail; undefined when it may. With code 421 the session is over. */
  refusal(): Reply | undefined {
    const { upstream } = this
    if (upstream) return upstream.connection.alive ? undefined : localReply(421, '4.4.2', 'Upstream connection lost')
    if (this.#relay.mayRelay(this.#client.remoteAddress)) return undefined
    return this.#canAuthenticate
      ? localReply(530, '5.7.0', 'Authentication required')
      : localReply(550, '5.7.1', 'Relay access denied')
  }

  /** @param line the whole AUTH command */
  authenticate(line: string): Promise<Reply> {
    this.#auth ??= new AuthRelay(this.#relay, this.#client)
    return this.#auth.begin(line)
  }

  /** A line of the exchange that is under way. */
  answer(line: string): Promise<Reply> {
    if (!this.#auth) throw new Error('no AUTH exchange is under way')
    return this.#auth.answer(line)
  }

  /** Ends an exchange that is under way. */
  giveUp(): void {
    this.#auth?.close()
  }

  /** Nobody in particular again. */
  forget(): void {
    this.giveUp()
    this.upstream?.close()
    this.#auth = undefined
  }
}
