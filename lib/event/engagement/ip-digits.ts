/**
 * Reads addresses in their usual spelling at the price of looking at each character once: for long lists and for every
 * request. What is spelt otherwise (a zone, IPv4 within IPv6) is left to ipaddr.js.
 */
import { hexDigit } from '../../record/hex-digit.ts'

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

const groups = new Uint16Array(8)

/**
 * The first 64 bits of an IPv6 address as two numbers; undefined when the text up to `end` is none, or is one that may
 * stand for an IPv4 address.
 */
export function readIpv6Prefix(text: string, end = text.length): readonly [high: number, low: number] | undefined {
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
  const prefix = [0, 0, 0, 0]
  for (let group = 0; group < 4; group++) {
    if (gapAt < 0 || group < gapAt) prefix[group] = groups[group]!
    else if (group >= gapAt + 8 - count) prefix[group] = groups[group - (8 - count)]!
  }
  const [a, b, c, d] = prefix as [number, number, number, number]
  const high = a * 65_536 + b
  const low = c * 65_536 + d
  return high === 0 && low === 0 ? undefined : [high, low]
}
