/**
 * Reads addresses in their usual spelling at the price of looking at each character once: for long lists and for every
 * request. What is spelt otherwise (a zone, IPv4 within IPv6) is left to ipaddr.js.
 */
import { hexDigit } from '../text/hex-digit.ts'

/** The number that a dotted quad stands for; -1 when the text up to `end` is none. As in `isIP`, no leading zeros. */
export function readIpv4(text: string, end = text.length): number {
  let value = 0
  let octet = -1
  let dots = 0
  for (let at = 0; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x2e) {
      if (octet < 0 || ++dots > 3) return -1
      value = value * 256 + octet
      octet = -1
      continue
    }
    const digit = code - 0x30
    if (digit < 0 || digit > 9 || octet === 0) return -1
    octet = octet < 0 ? digit : octet * 10 + digit
    if (octet > 255) return -1
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1
}

/** The bits of an address, 32 at a time. */
export type AddressWords = readonly [number, number, number, number]

const groups = new Uint16Array(8)

/** The bits of an IPv6 address; undefined when the text up to `end` is none, or is one that may stand for an IPv4 address. */
export function readIpv6(text: string, end = text.length): AddressWords | undefined {
  let count = 0
  let gapAt = -1
  let at = 0
  while (at < end) {
    if (text.charCodeAt(at) === 0x3a) {
      // A colon here is the second of a pair, or begins the text and must be followed by one.
      if (gapAt >= 0 || (at === 0 && text.charCodeAt(++at) !== 0x3a)) return undefined
      gapAt = count
      at++
      continue
    }
    let value = 0
    const start = at
    for (; at < end && text.charCodeAt(at) !== 0x3a; at++) {
      const digit = hexDigit(text.charCodeAt(at))
      if (digit < 0 || at - start === 4) return undefined
      value = value * 16 + digit
    }
    if (count === 8) return undefined
    groups[count++] = value
    if (at < end && ++at === end) return undefined
  }
  if (gapAt < 0 ? count !== 8 : count > 7) return undefined
  if (gapAt >= 0) {
    groups.copyWithin(gapAt + 8 - count, gapAt, count)
    groups.fill(0, gapAt, gapAt + 8 - count)
  }
  const [a, b, c, d, e, f, g, h] = groups as unknown as [number, number, number, number, number, number, number, number]
  if (a === 0 && b === 0 && c === 0 && d === 0) return undefined
  return [a * 65_536 + b, c * 65_536 + d, e * 65_536 + f, g * 65_536 + h]
}
