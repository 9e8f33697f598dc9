/** Whose address a request came from, when proxies stand in front. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Most entries of an X-Forwarded-For header that are looked at, from its end. */
export const forwardedHopsMax = 50

/** How much of an address is kept in events: all of it, its network (IPv4 /24, IPv6 /48), nothing. */
export type AddressDetail = 'full' | 'truncate' | 'none'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** The networks whose word about the client's address is taken. */
export class TrustedProxies {
  readonly #networks: readonly [Address, number][]

  /** @throws Error that names the network that can't be read */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map(network => {
      try {
        // ipaddr.js also takes octal, hexadecimal and shortened forms; here they are slips.
        if (isIP(network.replace(/\/.*/s, '')) === 0) throw new Error('no address')
        const [address, bits] = network.includes('/')
          ? ipaddr.parseCIDR(network)
          : ([ipaddr.parse(network), network.includes(':') ? 128 : 32] as const)
        // A peer on a dual-stack socket is compared as the IPv4 address that it is.
        if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96) {
          return [address.toIPv4Address(), bits - 96]
        }
        return [address, bits]
      } catch {
        throw new Error(`${network} is not a network: write 10.0.0.0/8, 2001:db8::/32 or a single address`)
      }
    })
  }

  has(address: Address): boolean {
    return this.#networks.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits))
  }

  get none(): boolean {
    return this.#networks.length === 0
  }
}

/**
 * The client's address: the peer's, unless the peer is a trusted proxy; then the rightmost address in X-Forwarded-For
 * that is not itself a trusted proxy's, or what X-Real-IP says when there is no X-Forwarded-For. What stands further
 * left is the client's own claim. An entry that is no address ends the walk at the last hop that is known.
 *
 * @param peer of the connection; undefined for a unix socket
 * @returns in its shortest form, IPv4 addresses mapped into IPv6 as IPv4
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  realIp: string | undefined,
  trusted: TrustedProxies,
): string | undefined {
  if (peer === undefined) return undefined
  // The usual case, and the cheapest: nobody stands in front.
  if (trusted.none) return peer.startsWith('::ffff:') ? peer.slice(7) : peer
  let address = parse(peer)
  if (address === undefined || !trusted.has(address)) return address?.toString() ?? peer
  const hops = (forwardedFor ?? realIp ?? '').split(',').slice(-forwardedHopsMax)
  for (const hop of hops.toReversed()) {
    const next = parse(hop.trim())
    if (next === undefined) break
    address = next
    if (!trusted.has(address)) break
  }
  return address.toString()
}

/** An address as proxies write it: alone, in brackets, with a port. */
function parse(text: string): Address | undefined {
  const bare =
    /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/.exec(text)?.[1] ?? text
  // ipaddr.js also takes octal, hexadecimal and shortened forms, which nobody in front of us writes.
  return isIP(bare) === 0 ? undefined : ipaddr.process(bare.replace(/%.*$/, ''))
}

/** What of the address may be kept. */
export function keptAddress(address: string | undefined, detail: AddressDetail): string | undefined {
  if (address === undefined || detail === 'none') return undefined
  if (detail === 'full') return address
  const parsed = parse(address)
  if (parsed === undefined) return undefined
  const bytes = parsed.toByteArray()
  return ipaddr.fromByteArray(bytes.fill(0, parsed.kind() === 'ipv4' ? 3 : 6)).toString()
}
