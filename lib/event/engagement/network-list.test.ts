import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { NetworkList } from './network-list.ts'

const csv = `# published as
172.224.224.0/27,GB,GB-EN,London,
172.224.224.32/31,GB,GB-EN,London,
2a02:26f7:b000:4000::/64,US,US-CA,San Jose,
2606:54c0::/45,US,,,

17.0.0.0/8
192.0.2.7
`

test('NetworkList knows which addresses lie in it', () => {
  const list = new NetworkList(csv)
  assert.equal(list.size, 6)
  for (const address of [
    '172.224.224.0',
    '172.224.224.33',
    '::ffff:172.224.224.31',
    '17.255.255.255',
    '192.0.2.7',
    '2a02:26f7:b000:4000:ffff::1',
    '2606:54c0:7:ffff::',
  ]) {
    assert.ok(list.has(address), address)
  }
  for (const address of [
    '172.224.224.34',
    '172.224.223.255',
    '18.0.0.0',
    '192.0.2.6',
    '2a02:26f7:b000:4001::',
    '2606:54c0:8::',
    '::1',
    'localhost',
    '',
  ]) {
    assert.ok(!list.has(address), address)
  }
})

test('NetworkList names the line that it can not read', () => {
  assert.throws(() => new NetworkList('17.0.0.0/8\nnonsense,US\n'), /line 2/)
  assert.throws(() => new NetworkList('17.0.0.0/33'), /line 1/)
  assert.throws(() => new NetworkList('# nothing\n'), /no network/)
})

test('NetworkList says what net.BlockList says', () => {
  for (const [family, address, bitsMax] of [
    ['ipv4', fc.ipV4(), 32],
    // An IPv4 address within IPv6 is one of IPv4 here.
    ['ipv6', fc.ipV6().filter(text => !text.includes('.') && !/^[0:]*:(?:ffff|0*:)/.test(text)), 64],
  ] as const) {
    const network = fc.tuple(address, fc.nat(bitsMax))
    fc.assert(
      fc.property(fc.array(network, { minLength: 1, maxLength: 20 }), address, (networks, asked) => {
        const blockList = new BlockList()
        for (const [text, bits] of networks) blockList.addSubnet(text, bits, family)
        const list = new NetworkList(networks.map(([text, bits]) => `${text}/${bits}`).join('\n'))
        assert.equal(list.has(asked), blockList.check(asked, family))
        for (const [text] of networks) assert.ok(list.has(text))
      }),
      { numRuns: 500 },
    )
  }
})
