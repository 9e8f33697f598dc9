import assert from 'node:assert/strict'
import { isIPv4, isIPv6 } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { readIpv4, readIpv6 } from './ip-digits.ts'

const spoilt = (text: fc.Arbitrary<string>) =>
  fc.oneof(
    text,
    fc
      .tuple(text, fc.nat(45), fc.constantFrom('', ':', '::', '.', '0', 'f', 'g', ' ', '%1', '256'))
      .map(([whole, at, more]) => whole.slice(0, at) + more + whole.slice(at + (more === '' ? 1 : 0))),
  )

test('readIpv4 reads what isIPv4 takes, and nothing else', () => {
  fc.assert(
    fc.property(spoilt(fc.ipV4()), text => {
      const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number)
      assert.equal(readIpv4(text), isIPv4(text) ? ((a * 256 + b) * 256 + c) * 256 + d : -1, text)
    }),
    { numRuns: 5000 },
  )
  assert.equal(readIpv4('10.0.0.1/8', 8), 0x0a00_0001)
})

test('readIpv6 reads what isIPv6 takes but for zones and what may be IPv4, and nothing else', () => {
  const small = fc.array(fc.constantFrom('0', '1', 'ffff', '', 'a'), { minLength: 1, maxLength: 10 })
  fc.assert(
    fc.property(
      spoilt(
        fc.oneof(
          fc.ipV6(),
          small.map(groups => groups.join(':')),
        ),
      ),
      text => {
        const isRead = isIPv6(text) && !/[.%]/.test(text)
        const parts = isRead ? (ipaddr.parse(text) as ipaddr.IPv6).parts : []
        const words = [0, 2, 4, 6].map(at => (parts[at] ?? 0) * 65_536 + (parts[at + 1] ?? 0))
        const expected = words[0] === 0 && words[1] === 0 ? undefined : words
        assert.deepEqual(readIpv6(text), expected, text)
      },
    ),
    { numRuns: 10_000 },
  )
  assert.deepEqual(readIpv6('2001:db8::/32', 10), [0x2001_0db8, 0, 0, 0])
})
