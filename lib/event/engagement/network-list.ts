/**
 * A long list of networks, as Apple publishes those of its relays (egress-ip-ranges.csv: a network at the beginning of
 * each line, then country, region and city). Some hundred thousand lines take a few megabytes of memory.
 */
import { isIP } from 'node:net'
import { endianness } from 'node:os'
import ipaddr from 'ipaddr.js'
import { readIpv4, readIpv6Prefix } from './ip-digits.ts'

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
   * Takes a fraction of a second for 300,000 lines.
   *
   * @param text lines that begin with a network or an address, followed by nothing or a comma; empty lines and those
   *   that begin with # are skipped
   * @throws Error that names the first line that is no network, or says that there is none
   */
  constructor(text: string) {
    const v4 = new RangeCollector()
    const v6 = new RangeCollector()
    let line = 0
    for (let start = 0; start <= text.length; line++) {
      const lineEnd = text.indexOf('\n', start)
      const end = lineEnd < 0 ? text.length : lineEnd
      const comma = text.indexOf(',', start)
      const network = text.slice(start, comma < 0 || comma > end ? end : comma).trim()
      start = end + 1
      if (network === '' || network.startsWith('#')) continue
      const range = readNetwork(network)
      if (range === undefined) throw new Error(`line ${line + 1}: expected a network such as 17.0.0.0/8`)
      ;(range.isV6 ? v6 : v4).add(range)
    }
    this.size = v4.size + v6.size
    if (this.size === 0) throw new Error('there is no network in it')
    this.#v4 = v4.ranges()
    this.#v6 = v6.ranges()
  }

  /** Whether an address lies in one of the networks; false for a text that is no address. */
  has(address: string): boolean {
    const range = readNetwork(address)
    if (range === undefined) return false
    return contains(range.isV6 ? this.#v6 : this.#v4, (BigInt(range.high) << 32n) | BigInt(range.low))
  }
}

/** A network as its first address in two numbers of 32 bits (IPv4: the high one is 0), and how many of the 64 are given. */
interface Network {
  readonly isV6: boolean
  readonly high: number
  readonly low: number
  readonly bits: number
}

function readNetwork(network: string): Network | undefined {
  const slash = network.indexOf('/')
  const end = slash < 0 ? network.length : slash
  const given = slash < 0 ? undefined : network.slice(slash + 1)
  if (given !== undefined && !/^\d{1,3}$/.test(given)) return undefined
  const v4 = readIpv4(network, end)
  if (v4 >= 0) return networkOf(false, 0, v4, given)
  const v6 = readIpv6Prefix(network, end)
  if (v6 !== undefined) return networkOf(true, v6[0], v6[1], given)
  const text = network.slice(0, end)
  if (isIP(text) === 0) return undefined
  const address = ipaddr.process(text.replace(/%.*$/, ''))
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = address.toByteArray()
  const first = ((a * 256 + b) * 256 + c) * 256 + d
  return address.kind() === 'ipv4'
    ? networkOf(false, 0, first, given)
    : networkOf(true, first, ((e * 256 + f) * 256 + g) * 256 + h, given)
}

function networkOf(isV6: boolean, high: number, low: number, given: string | undefined): Network | undefined {
  const width = isV6 ? 128 : 32
  const bits = given === undefined ? width : Number(given)
  if (bits > width) return undefined
  return { isV6, high, low, bits: isV6 ? Math.min(bits, 64) : bits + 32 }
}

/** Collects first and last addresses without an object for each: there are hundreds of thousands. */
class RangeCollector {
  size = 0
  #starts = new BigUint64Array(1024)
  #ends = new BigUint64Array(1024)
  #startWords = new Uint32Array(this.#starts.buffer)
  #endWords = new Uint32Array(this.#ends.buffer)

  add({ high, low, bits }: Network): void {
    if (this.size === this.#starts.length) this.#grow()
    const freeHigh = bits >= 32 ? 0 : 0xffff_ffff >>> bits
    const freeLow = bits <= 32 ? 0xffff_ffff : bits === 64 ? 0 : 0xffff_ffff >>> (bits - 32)
    const at = this.size++ * 2
    this.#startWords[at + lowWord] = low & ~freeLow
    this.#startWords[at + highWord] = high & ~freeHigh
    this.#endWords[at + lowWord] = low | freeLow
    this.#endWords[at + highWord] = high | freeHigh
  }

  #grow(): void {
    const [starts, ends] = [this.#starts, this.#ends]
    this.#starts = new BigUint64Array(starts.length * 2)
    this.#ends = new BigUint64Array(starts.length * 2)
    this.#starts.set(starts)
    this.#ends.set(ends)
    this.#startWords = new Uint32Array(this.#starts.buffer)
    this.#endWords = new Uint32Array(this.#ends.buffer)
  }

  ranges(): Ranges {
    const starts = this.#starts.subarray(0, this.size).toSorted()
    const ends = this.#ends.subarray(0, this.size).toSorted()
    let count = 0
    for (let index = 0; index < this.size; index++) {
      // As many have ended as have begun: what follows touches nothing before it.
      if (index === 0 || starts[index]! > ends[index - 1]! + 1n) starts[count++] = starts[index]!
      ends[count - 1] = ends[index]!
    }
    return { starts: starts.slice(0, count), ends: ends.slice(0, count) }
  }
}

const lowWord = endianness() === 'LE' ? 0 : 1
const highWord = 1 - lowWord

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
