/** Which of many networks an address lies in: some hundred thousand of them take a few megabytes and a fraction of a second. */
import { endianness } from 'node:os'
import { readIpv4 } from './ip-digits.ts'
import { readAddress, readNetwork, type Address, type Network } from './network.ts'

/** Sorted ranges of numbers of 64 bits, both ends included, that neither touch nor overlap; each as two words. */
interface Ranges {
  readonly starts: Uint32Array
  readonly ends: Uint32Array
}

export class NetworkList {
  /** IPv4 addresses. */
  readonly #v4: Ranges
  /** The first 64 bits of IPv6 addresses. */
  readonly #v6: Ranges
  /** The last 64 bits of those in networks smaller than a /64, by the first. */
  readonly #small = new Map<string, Ranges>()
  /** Networks in it. */
  readonly size: number

  /** @throws Error that names the text that is no network */
  static of(...texts: readonly string[]): NetworkList {
    return new NetworkList(
      texts.map(text => {
        const network = readNetwork(text)
        if (!network) throw new Error(`${text} is not a network such as 10.0.0.0/8 or ::1`)
        return network
      }),
    )
  }

  constructor(networks: Iterable<Network>) {
    const v4 = new RangeCollector()
    const v6 = new RangeCollector()
    const small = new Map<string, RangeCollector>()
    let size = 0
    for (const { isV6, words, bits } of networks) {
      const [a, b, c, d] = words
      size++
      if (!isV6) v4.add(0, d, bits + 32)
      else if (bits <= 64) v6.add(a, b, bits)
      else {
        const key = `${a} ${b}`
        const collector = small.get(key) ?? new RangeCollector()
        small.set(key, collector)
        collector.add(c, d, bits - 64)
      }
    }
    this.size = size
    this.#v4 = v4.ranges()
    this.#v6 = v6.ranges()
    for (const [key, collector] of small) this.#small.set(key, collector.ranges())
  }

  /** Whether an address lies in one of the networks; false for a text that is no address. */
  has(text: string): boolean {
    // Most are of IPv4, and asked for with every request.
    const v4 = readIpv4(text)
    if (v4 >= 0) return contains(this.#v4, 0, v4)
    const address = readAddress(text)
    return address !== undefined && this.hasAddress(address)
  }

  hasAddress({ isV6, words }: Address): boolean {
    const [a, b, c, d] = words
    if (!isV6) return contains(this.#v4, 0, d)
    if (contains(this.#v6, a, b)) return true
    const small = this.#small.size > 0 ? this.#small.get(`${a} ${b}`) : undefined
    return small !== undefined && contains(small, c, d)
  }
}

/** Collects first and last addresses without an object for each: there are hundreds of thousands. */
class RangeCollector {
  size = 0
  #starts = new BigUint64Array(16)
  #ends = new BigUint64Array(16)
  #startWords = new Uint32Array(this.#starts.buffer)
  #endWords = new Uint32Array(this.#ends.buffer)

  /** Takes the numbers that begin with so many bits of one. */
  add(high: number, low: number, bits: number): void {
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
    const words = (numbers: BigUint64Array) => new Uint32Array(numbers.slice(0, count).buffer)
    return { starts: words(starts), ends: words(ends) }
  }
}

const lowWord = endianness() === 'LE' ? 0 : 1
const highWord = 1 - lowWord

function contains({ starts, ends }: Ranges, high: number, low: number): boolean {
  let first = 0
  let after = starts.length / 2
  // The first range that begins beyond the number; the one before it is the only one that can hold it.
  while (first < after) {
    const middle = (first + after) >>> 1
    if (isAtMost(starts, middle, high, low)) first = middle + 1
    else after = middle
  }
  if (first === 0) return false
  const end = 2 * (first - 1)
  const endHigh = ends[end + highWord]!
  return endHigh > high || (endHigh === high && ends[end + lowWord]! >= low)
}

function isAtMost(numbers: Uint32Array, index: number, high: number, low: number): boolean {
  const numberHigh = numbers[2 * index + highWord]!
  return numberHigh < high || (numberHigh === high && numbers[2 * index + lowWord]! <= low)
}
