/** Addresses and blocks of them, as settings, sockets and proxies name them. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { readIpv4, readIpv6, type AddressWords } from './ip-digits.ts'

export interface Address {
  /** An IPv4 address mapped into IPv6 is one of IPv4: on a dual-stack socket it comes so. */
  readonly isV6: boolean
  /** Its bits, 32 at a time; IPv4 has only the last. */
  readonly words: AddressWords
}

export interface Network extends Address {
  /** How many of the bits are given, of 128 or of 32. */
  readonly bits: number
}

/**
 * `192.0.2.7`, `2001:db8::1`, `fe80::1%eth0`; undefined for what is no address. Octal, hexadecimal and shortened forms of
 * IPv4 are none: here they are slips.
 */
export function readAddress(text: string, end = text.length): Address | undefined {
  const v4 = readIpv4(text, end)
  if (v4 >= 0) return { isV6: false, words: [0, 0, 0, v4] }
  const v6 = readIpv6(text, end)
  return v6 ? { isV6: true, words: v6 } : readUnusual(text.slice(0, end))
}

/** `10.0.0.0/8`, or a single address; undefined for anything else. */
export function readNetwork(text: string): Network | undefined {
  const slash = text.indexOf('/')
  const end = slash < 0 ? text.length : slash
  const address = readAddress(text, end)
  if (!address) return undefined
  const { isV6, words } = address
  const width = isV6 ? 128 : 32
  if (slash < 0) return { isV6, words, bits: width }
  const given = text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(given)) return undefined
  // Those of a mapped network are counted from the beginning of the IPv6 address.
  const bits = Number(given) - (!isV6 && text.includes(':') ? 96 : 0)
  return bits >= 0 && bits <= width ? { isV6, words, bits } : undefined
}

function readUnusual(text: string): Address | undefined {
  if (isIP(text) === 0) return undefined
  const address = ipaddr.process(text.replace(/%.*$/, ''))
  const bytes = Buffer.alloc(16)
  bytes.set(address.toByteArray(), address.kind() === 'ipv4' ? 12 : 0)
  return {
    isV6: address.kind() === 'ipv6',
    words: [bytes.readUInt32BE(0), bytes.readUInt32BE(4), bytes.readUInt32BE(8), bytes.readUInt32BE(12)],
  }
}
