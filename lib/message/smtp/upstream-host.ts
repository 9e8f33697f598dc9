/**
 * Connects to the host of the upstream as every other program of the machine does: what its hosts file says counts, and
 * each address of a name is tried. nodemailer would ask the name servers first, and could find another MTA there.
 */
import { lookup, type LookupAddress } from 'node:dns'
import { connect, type LookupFunction, type Socket } from 'node:net'
import { UpstreamUnavailable } from './upstream-connection.ts'

/** How long one address is tried before the next one is tried beside it. */
const attemptMs = 1_000

type LookUp = (
  host: string,
  options: { readonly all: true },
  done: (error: Error | null, addresses: LookupAddress[]) => void,
) => void

export class UpstreamHost {
  readonly #host: string
  readonly #port: number
  readonly #lookUp: LookUp
  /** What the last lookup found: while name servers are away the MTA is where it was. */
  #known: LookupAddress[] = []
  /** Those who wait for a lookup that is under way. */
  #waiting: ((error: Error | null) => void)[] = []

  /** @param host a name or an address */
  constructor(host: string, port: number, lookUp: LookUp = lookup) {
    this.#host = host
    this.#port = port
    this.#lookUp = lookUp
  }

  /**
   * A connection on which nothing was said.
   * @throws {UpstreamUnavailable}
   */
  async connect(timeoutMs: number): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: this.#host,
        port: this.#port,
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: attemptMs,
        lookup: this.#find,
      })
      const late = setTimeout(() => socket.destroy(new Error('connecting took too long')), timeoutMs)
      socket.on('error', error => {
        clearTimeout(late)
        reject(new UpstreamUnavailable(reasonOf(error)))
      })
      socket.once('connect', () => {
        clearTimeout(late)
        resolve(socket)
      })
    })
  }

  readonly #find: LookupFunction = (host, { all }, done) => {
    this.#waiting.push(error => {
      const [first] = this.#known
      if (!first) done(error ?? new Error(`${host} has no address`), [])
      else if (all) done(null, this.#known)
      else done(null, first.address, first.family)
    })
    if (this.#waiting.length > 1) return
    this.#lookUp(host, { all: true }, (error, addresses) => {
      if (!error && addresses.length > 0) this.#known = addresses
      for (const tell of this.#waiting.splice(0)) tell(error)
    })
  }
}

/** Of several addresses each has failed in its own way. */
function reasonOf(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(one => (one as Error).message).join(', ') : error.message
}
