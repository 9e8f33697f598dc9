/** Address blocks, and who is in them. */
import ipaddr from 'ipaddr.js'

/** Whether `address` (as a socket reports it) lies in the blocks. */
export type NetworkMatcher = (address: string) => boolean

/** Addresses whose answer is remembered. */
const knownMax = 1_000

/**
 * @param blocks such as `10.0.0.0/8` or `::1`
 * @throws Error naming the block that can't be read
 */
export function matchNetworks(blocks: readonly string[]): NetworkMatcher {
  const ranges = blocks.map(block => {
    try {
      return block.includes('/')
        ? ipaddr.parseCIDR(block)
        : ([ipaddr.parse(block), block.includes(':') ? 128 : 32] as [ipaddr.IPv4 | ipaddr.IPv6, number])
    } catch {
      throw new Error(`${block} is not a network such as 10.0.0.0/8 or ::1`)
    }
  })
  const matches = (address: string) => {
    if (!ipaddr.isValid(address)) return false
    const parsed = ipaddr.process(address)
    return ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits))
  }
  // A generator opens thousands of connections from one address.
  const known = new Map<string, boolean>()
  return address => {
    let isWithin = known.get(address)
    if (isWithin === undefined) {
      isWithin = matches(address)
      if (known.size === knownMax) known.clear()
      known.set(address, isWithin)
    }
    return isWithin
  }
}

const loopback = matchNetworks(['127.0.0.0/8', '::1'])

/** Whether an address is one of this machine's loopback addresses. */
export function isLoopback(address: string): boolean {
  return loopback(address)
}

/** Whether a configured host name means this machine's loopback. */
export function isLoopbackHost(host: string): boolean {
  return /^localhost\.?$/i.test(host) || loopback(host)
}
