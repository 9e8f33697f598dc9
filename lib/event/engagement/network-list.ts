/**
 * A long list of networks, as Apple publishes those of its relays (egress-ip-ranges.csv: a network at the beginning of
 * each line, then country, region and city). Some hundred thousand lines take a few megabytes of memory.
 */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Sorted ranges, both ends included, that neither touch nor overlap. */
interface Ranges {
  readonly starts: BigUint64Array
  readonly ends: BigUint64Array
}

export class NetworkList {
  /** IPv4 addresses. */
  readonly #v4: Ranges
  /** The first 64 bits of IPv6 addresses: nobody is given less than a /64. */
  readonly #v6: Ranges
  /** Networks that were read. */
  readonly size: number

  /**
   * @param text lines that begin with a network or an address, followed by nothing or a comma; empty lines and those
   *   that begin with # are skipped
   * @throws Error that names the first line that is no network, or says that there is none
   */
  constructor(text: string) {
    const v4: [bigint, bigint][] = []
    const v6: [bigint, bigint][] = []
    for (const [index, line] of text.split('\n').entries()) {
      const network = line.split(',', 1)[0]?.trim() ?? ''
      if (network === '' || network.startsWith('#')) continue
      const range = readRange(network)
      if (range === undefined) throw new Error(`line ${index + 1}: expected a network such as 17.0.0.0/8`)
      ;(range.isV6 ? v6 : v4).push([range.start, range.end])
    }
    this.size = v4.length + v6.length
    if (this.size === 0) throw new Error('there is no network in it')
    this.#v4 = merge(v4)
    this.#v6 = merge(v6)
  }

  /** Whether an address lies in one of the networks; false for a text that is no address. */
  has(address: string): boolean {
    const range = readRange(address)
    return range !== undefined && contains(range.isV6 ? this.#v6 : this.#v4, range.start)
  }
}

function readRange(network: string): { isV6: boolean; start: bigint; end: bigint } | undefined {
  const [text = '', bitsText] = network.split('/')
  if (isIP(text) === 0) return undefined
  const address = ipaddr.process(text.replace(/%.*$/, ''))
  const isV6 = address.kind() === 'ipv6'
  const width = isV6 ? 128 : 32
  const bits = bitsText === undefined ? width : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : -1
  if (bits < 0 || bits > width) return undefined
  let value = 0n
  const kept = isV6 ? 8 : 4
  for (const byte of address.toByteArray().slice(0, kept)) value = (value << 8n) | BigInt(byte)
  const free = BigInt(Math.max(0, kept * 8 - bits))
  const start = (value >> free) << free
  return { isV6, start, end: start | ((1n << free) - 1n) }
}

function merge(ranges: [bigint, bigint][]): Ranges {
  ranges.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  const merged: [bigint, bigint][] = []
  for (const [start, end] of ranges) {
    const last = merged.at(-1)
    if (last !== undefined && start <= last[1] + 1n) {
      if (end > last[1]) last[1] = end
    } else merged.push([start, end])
  }
  return {
    starts: BigUint64Array.from(merged, ([start]) => start),
    ends: BigUint64Array.from(merged, ([, end]) => end),
  }
}

function contains({ starts, ends }: Ranges, value: bigint): boolean {
  let low = 0
  let high = starts.length
  // The first range that begins beyond the value; the one before it is the only one that can hold it.
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((starts[middle] ?? 0n) <= value) low = middle + 1
    else high = middle
  }
  return low > 0 && value <= (ends[low - 1] ?? 0n)
}
