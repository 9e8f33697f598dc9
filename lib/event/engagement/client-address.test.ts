import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { NetworkList } from '../../network/network-list.ts'
import { clientAddress, keptAddress } from './client-address.ts'

interface Case {
  readonly trusted: string
  readonly peer: string | undefined
  readonly xff?: string
  readonly real?: string
  readonly is: string | undefined
  readonly why: string
}

/** Who sends what to a tracker behind which proxies, and whose address it is. */
const cases: readonly Case[] = [
  { why: 'nobody in front', trusted: '', peer: '7.7.7.7', is: '7.7.7.7' },
  {
    why: 'nobody is believed by default',
    trusted: '',
    peer: '7.7.7.7',
    xff: '6.6.6.6',
    real: '6.6.6.6',
    is: '7.7.7.7',
  },
  { why: 'a stranger is not believed', trusted: '10.0.0.0/8', peer: '7.7.7.7', xff: '6.6.6.6', is: '7.7.7.7' },
  { why: 'nor in X-Real-IP', trusted: '10.0.0.0/8', peer: '7.7.7.7', real: '6.6.6.6', is: '7.7.7.7' },
  { why: 'the proxy is', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '7.7.7.7', is: '7.7.7.7' },
  { why: 'X-Real-IP of the proxy', trusted: '10.0.0.0/8', peer: '10.0.0.1', real: '7.7.7.7', is: '7.7.7.7' },
  {
    why: 'X-Forwarded-For before X-Real-IP',
    trusted: '10.0.0.0/8',
    peer: '10.0.0.1',
    xff: '7.7.7.7',
    real: '6.6.6.6',
    is: '7.7.7.7',
  },
  {
    why: 'the claim at the left is not',
    trusted: '10.0.0.0/8',
    peer: '10.0.0.1',
    xff: '6.6.6.6, 7.7.7.7',
    is: '7.7.7.7',
  },
  {
    why: 'two proxies in a row',
    trusted: '10.0.0.0/8,192.0.2.0/24',
    peer: '10.0.0.1',
    xff: '6.6.6.6, 7.7.7.7, 192.0.2.9',
    is: '7.7.7.7',
  },
  {
    why: 'a proxy in the midst that is unknown ends it',
    trusted: '10.0.0.0/8',
    peer: '10.0.0.1',
    xff: '7.7.7.7, 192.0.2.9',
    is: '192.0.2.9',
  },
  { why: 'all of them proxies', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '10.0.0.3, 10.0.0.2', is: '10.0.0.3' },
  { why: 'no header', trusted: '10.0.0.0/8', peer: '10.0.0.1', is: '10.0.0.1' },
  { why: 'an empty header', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '', is: '10.0.0.1' },
  { why: 'garbage', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: 'unknown', is: '10.0.0.1' },
  { why: 'garbage at the left', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '<script>, 7.7.7.7', is: '7.7.7.7' },
  { why: 'garbage between', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '7.7.7.7, _, 10.0.0.2', is: '10.0.0.2' },
  { why: 'octal is no address', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '010.0.0.7', is: '10.0.0.1' },
  { why: 'a number is no address', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '2130706433', is: '10.0.0.1' },
  { why: 'with a port', trusted: '10.0.0.0/8', peer: '10.0.0.1', xff: '7.7.7.7:51234', is: '7.7.7.7' },
  { why: 'IPv6', trusted: '2001:db8::/32', peer: '2001:db8::1', xff: '2a00:1::7', is: '2a00:1::7' },
  { why: 'IPv6 in brackets', trusted: '::1', peer: '::1', xff: '[2a00:1:0:0::7]:443', is: '2a00:1::7' },
  {
    why: 'IPv4 peer on a dual-stack socket',
    trusted: '10.0.0.0/8',
    peer: '::ffff:10.0.0.1',
    xff: '7.7.7.7',
    is: '7.7.7.7',
  },
  { why: 'mapped network', trusted: '::ffff:10.0.0.0/104', peer: '10.0.0.1', xff: '7.7.7.7', is: '7.7.7.7' },
  { why: 'mapped client', trusted: '10.0.0.1', peer: '10.0.0.1', xff: '::ffff:7.7.7.7', is: '7.7.7.7' },
  { why: 'a single address is not its network', trusted: '10.0.0.1', peer: '10.0.0.2', xff: '7.7.7.7', is: '10.0.0.2' },
  { why: 'mapped, nobody in front', trusted: '', peer: '::ffff:7.7.7.7', is: '7.7.7.7' },
  { why: 'a unix socket', trusted: '10.0.0.0/8', peer: undefined, xff: '7.7.7.7', is: undefined },
]

for (const { why, trusted, peer, xff, real, is } of cases) {
  test(`clientAddress: ${why}`, () => {
    const proxies = NetworkList.of(...trusted.split(',').filter(Boolean))
    assert.equal(clientAddress(peer, xff, real, proxies), is)
  })
}

test('clientAddress never gives what is no address, and never a claim from left of an untrusted hop', () => {
  const proxies = NetworkList.of('10.0.0.0/8')
  fc.assert(
    fc.property(
      fc.string(),
      fc.ipV4().filter(ip => !ip.startsWith('10.')),
      (claim, client) => {
        assert.equal(clientAddress('10.0.0.1', `${claim},${client}`, claim, proxies), client)
      },
    ),
  )
})

test('clientAddress looks at a bounded number of hops', () => {
  const proxies = NetworkList.of('10.0.0.0/8')
  assert.equal(clientAddress('10.0.0.1', `7.7.7.7${', 10.0.0.2'.repeat(1000)}`, undefined, proxies), '10.0.0.2')
})

test('keptAddress keeps as much as it may', () => {
  assert.equal(keptAddress('203.0.113.77', 'full'), '203.0.113.77')
  assert.equal(keptAddress('203.0.113.77', 'truncate'), '203.0.113.0')
  assert.equal(keptAddress('2001:db8:1234:5678::9', 'truncate'), '2001:db8:1234::')
  assert.equal(keptAddress('203.0.113.77', 'none'), undefined)
  assert.equal(keptAddress(undefined, 'full'), undefined)
  assert.equal(keptAddress('not an address', 'truncate'), undefined)
})
