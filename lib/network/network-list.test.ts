import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { NetworkList } from './network-list.ts'

test('NetworkList knows which addresses lie in it', () => {
  const list = NetworkList.of(
    '172.224.224.0/27',
    '172.224.224.32/31',
    '::ffff:10.0.0.0/104',
    '192.0.2.7',
    '2a02:26f7:b000:4000::/64',
    '2606:54c0::/45',
    '2001:db8::10/124',
    '2001:db8::7',
    '::1',
  )
  assert.equal(list.size, 9)
  const within = [
    '172.224.224.0',
    '172.224.224.33',
    '::ffff:172.224.224.31',
    '10.255.255.255',
    '::ffff:10.0.0.1',
    '192.0.2.7',
  ]
  within.push(
    '2a02:26f7:b000:4000:ffff::1',
    '2606:54c0:7:ffff::',
    '2001:db8::1f',
    '2001:db8::7',
    '::1',
    '2001:db8::7%eth0',
  )
  for (const address of within) assert.ok(list.has(address), address)
  const outside = [
    '172.224.224.34',
    '172.224.223.255',
    '11.0.0.0',
    '192.0.2.6',
    '2a02:26f7:b000:4001::',
    '2606:54c0:8::',
  ]
  outside.push(
    '2001:db8::8',
    '2001:db8::20',
    '2001:db8:0:1::7',
    '::2',
    'localhost',
    '',
    '10.0.0.0.1',
    '192.0.2.7/32',
    '0300.0.2.7',
  )
  for (const address of outside) assert.ok(!list.has(address), address)
})

test('NetworkList.of names what is no network', () => {
  for (const text of [
    '10.0.0.0/33',
    'fe80::/129',
    '1.2.3',
    '10/8',
    '::g',
    '300.1.1.1/8',
    'example.com',
    '::ffff:1.2.3.4/95',
  ]) {
    assert.throws(
      () => NetworkList.of('10.0.0.0/8', text),
      new RegExp(`^Error: ${text.replaceAll('.', '\\.')} is not`),
      text,
    )
  }
})

test('NetworkList says what net.BlockList says', () => {
  for (const [family, address, bitsMax] of [
    ['ipv4', fc.ipV4(), 32],
    // An IPv4 address within IPv6 is one of IPv4 here.
    ['ipv6', fc.ipV6().filter(text => !text.includes('.') && !/^[0:]*:(?:ffff|0*:)/.test(text)), 128],
    // Close to each other: most lie in one /64.
    ['ipv6', fc.tuple(fc.nat(1), fc.nat(3)).map(([high, low]) => `2001:db8:0:${high}::${low}`), 128],
  ] as const) {
    const network = fc.tuple(address, fc.nat(bitsMax))
    fc.assert(
      fc.property(fc.array(network, { minLength: 1, maxLength: 20 }), address, (networks, asked) => {
        const blockList = new BlockList()
        for (const [text, bits] of networks) blockList.addSubnet(text, bits, family)
        const list = NetworkList.of(...networks.map(([text, bits]) => `${text}/${bits}`))
        assert.equal(list.has(asked), blockList.check(asked, family))
        for (const [text] of networks) assert.ok(list.has(text))
      }),
      { numRuns: 500 },
    )
  }
})
