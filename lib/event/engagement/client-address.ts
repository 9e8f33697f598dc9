/** Whose address a request came from, when proxies stand in front. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { readIpv4 } from '../../network/ip-digits.ts'
import type { NetworkList } from '../../network/network-list.ts'

/** Most entries of an X-Forwarded-For header that are looked at, from its end. */
const forwardedHopsMax = 50

/** How much of an address is kept in events: all of it, its network (IPv4 /24, IPv6 /48), nothing. */
export type AddressDetail = 'full' | 'truncate' | 'none'

/**
 * The client's address: the peer's, unless the peer is a trusted proxy; then the rightmost address in X-Forwarded-For
 * that is not itself a trusted proxy's, or what X-Real-IP says when there is no X-Forwarded-For. What stands further
 * left is the client's own claim. An entry that is no address ends the walk at the last hop that is known.
 *
 * @param trusted the networks whose word about the client's address is taken
 * @param peer of the connection; undefined for a unix socket
 * @returns in its shortest form, IPv4 addresses mapped into IPv6 as IPv4
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  realIp: string | undefined,
  trusted: NetworkList,
): string | undefined {
  if (peer === undefined) return undefined
  // The usual case, and the cheapest: nobody stands in front.
  if (trusted.size === 0) return peer.startsWith('::ffff:') ? peer.slice(7) : peer
  let hop = readHop(peer, trusted)
  if (!hop?.isTrusted) return hop?.address ?? peer
  const hops = (forwardedFor ?? realIp ?? '').split(',')
  for (let at = hops.length - 1; at >= Math.max(0, hops.length - forwardedHopsMax); at--) {
    const next = readHop(hops[at]!.trim(), trusted)
    if (next === undefined) break
    hop = next
    if (!hop.isTrusted) break
  }
  return hop.address
}

/** Whose word is taken, and an address in its shortest form. */
interface Hop {
  readonly address: string
  readonly isTrusted: boolean
}

function readHop(text: string, trusted: NetworkList): Hop | undefined {
  const bare = text.startsWith('::ffff:') ? text.slice(7) : text
  const address = readIpv4(bare) >= 0 ? bare : parse(text)?.toString()
  return address === undefined ? undefined : { address, isTrusted: trusted.has(address) }
}

/** An address as proxies write it: alone, in brackets, with a port. */
function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare =
    /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/.exec(text)?.[1] ?? text
  // ipaddr.js also takes octal, hexadecimal and shortened forms, which nobody in front of us writes.
  return isIP(bare) === 0 ? undefined : ipaddr.process(bare.replace(/%.*$/, ''))
}

/** What of the address may be kept. */
export function keptAddress(address: string | undefined, detail: AddressDetail): string | undefined {
  if (address === undefined || detail === 'none') return undefined
  if (detail === 'full') return address
  if (readIpv4(address) >= 0) return `${address.slice(0, address.lastIndexOf('.'))}.0`
  const parsed = parse(address)
  if (parsed === undefined) return undefined
  const bytes = parsed.toByteArray()
  return ipaddr.fromByteArray(bytes.fill(0, parsed.kind() === 'ipv4' ? 3 : 6)).toString()
}
