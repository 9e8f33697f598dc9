/** Connections to the upstream, kept open between transactions. Those with a client's identity never come here. */
import type { Deadlines, Timed } from './deadlines.ts'
import type { RelayLimits } from './limits.ts'
import { openUpstream, type UpstreamAddress, type UpstreamConnection } from './upstream-connection.ts'
import { UpstreamHost } from './upstream-host.ts'

export interface UpstreamHooks {
  /** Tells how an attempt to connect went; undefined when it went well. */
  readonly connected: (trouble: string | undefined) => void
  /** Tells why a connection was lost while an answer was waited for; never an address. */
  readonly lost: (reason: string) => void
}

/** How long after a failure it is tried again, when no client asks for it before. */
const probeMs = 5_000

/**
 * A connection with so many negative replies since its last accepted message is not used again: an MTA counts them, and
 * answers slowly after ten (Postfix: `smtpd_soft_error_limit`), which would be for other clients to bear.
 */
const refusalsMax = 5

export class UpstreamPool implements Timed {
  readonly #address: UpstreamAddress
  readonly #host: UpstreamHost
  readonly #limits: RelayLimits
  readonly #deadlines: Deadlines
  readonly #hooks: UpstreamHooks
  /** Word in our own greeting by which we know ourselves. */
  readonly #ownToken: string
  readonly #idle: UpstreamConnection[] = []
  readonly #busy = new Set<UpstreamConnection>()
  #closed = false
  #probeAt = Number.POSITIVE_INFINITY

  constructor(
    address: UpstreamAddress,
    limits: RelayLimits,
    deadlines: Deadlines,
    ownToken: string,
    hooks: UpstreamHooks,
  ) {
    this.#address = address
    this.#host = new UpstreamHost(address.host, address.port)
    this.#limits = limits
    this.#deadlines = deadlines
    this.#ownToken = ownToken
    this.#hooks = hooks
    deadlines.add(this)
  }

  /** Connections open, in use and idle. */
  get size(): number {
    return this.#busy.size + this.#idle.length
  }

  /**
   * What the upstream offers now: of a connection that is open, else of a new one, which then waits for its use.
   * @throws {UpstreamUnavailable}
   */
  async capabilities(): Promise<Pick<UpstreamConnection, 'capabilities' | 'secure'>> {
    const [open] = this.#idle.length > 0 ? this.#idle : this.#busy
    if (open) return open
    const fresh = await this.acquire(true)
    this.release(fresh)
    return fresh
  }

  /**
   * A connection for one transaction (or, with AUTH, for a client's session).
   * @param fresh not one that was used before
   * @throws {UpstreamUnavailable}
   */
  async acquire(fresh = false): Promise<UpstreamConnection> {
    for (let kept = fresh ? undefined : this.#idle.pop(); kept; kept = this.#idle.pop()) {
      kept.onLost(undefined)
      if (kept.alive && performance.now() - kept.openedAt < this.#limits.upstreamLifetimeMs) {
        this.#busy.add(kept)
        return kept
      }
      kept.quit()
    }
    return this.#open()
  }

  /** Gives a connection back that has no transaction open. */
  release(connection: UpstreamConnection): void {
    this.#busy.delete(connection)
    if (!connection.alive) return
    if (this.#closed || connection.refusals >= refusalsMax) {
      connection.quit()
      return
    }
    connection.idleSince = performance.now()
    connection.onLost(() => this.#forget(connection))
    this.#idle.push(connection)
  }

  /** Takes a connection out for good: it was lost, or must not be used by others. */
  discard(connection: UpstreamConnection): void {
    this.#busy.delete(connection)
  }

  /** Of Deadlines: closes what nobody has used for a while, and looks whether an upstream that was away is back. */
  check(now: number): void {
    if (now >= this.#probeAt) {
      this.#probeAt = Number.POSITIVE_INFINITY
      this.acquire(true).then(
        connection => this.release(connection),
        () => undefined,
      )
    }
    while (this.#idle[0] && now - this.#idle[0].idleSince >= this.#limits.upstreamIdleMs) {
      const connection = this.#idle.shift()!
      connection.onLost(undefined)
      connection.quit()
    }
  }

  close(): void {
    this.#closed = true
    this.#deadlines.delete(this)
    for (const connection of this.#idle.splice(0)) {
      connection.onLost(undefined)
      connection.quit()
    }
  }

  async #open(): Promise<UpstreamConnection> {
    let connection
    try {
      const { lost } = this.#hooks
      const socket = await this.#host.connect(this.#limits.upstreamConnectMs)
      connection = await openUpstream(socket, this.#address, this.#ownToken, this.#limits, this.#deadlines, lost)
    } catch (error) {
      this.#probeAt = performance.now() + probeMs
      this.#hooks.connected((error as Error).message)
      throw error
    }
    this.#probeAt = Number.POSITIVE_INFINITY
    this.#hooks.connected(undefined)
    this.#busy.add(connection)
    return connection
  }

  #forget(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
  }
}
