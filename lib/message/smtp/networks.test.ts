import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import { isLoopback, isLoopbackHost, matchNetworks } from './networks.ts'

describe('matchNetworks', () => {
  test('blocks and single addresses of both families', () => {
    const matches = matchNetworks(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1'])
    for (const address of ['10.255.0.1', '::ffff:10.0.0.1', '192.0.2.7', '2001:db8:1::1', '::1'])
      assert.ok(matches(address))
    for (const address of ['11.0.0.1', '192.0.2.8', '2001:db9::1', '::2', '', 'localhost', '10.0.0.0.1']) {
      assert.ok(!matches(address), address)
    }
  })

  test('a block that is none is named', () => {
    assert.throws(() => matchNetworks(['10.0.0.0/33']), /10\.0\.0\.0\/33 is not a network/)
    assert.throws(() => matchNetworks(['example.com']), /example\.com is not a network/)
  })

  test('loopback', () => {
    assert.ok(isLoopback('127.9.9.9') && isLoopback('::1') && isLoopback('::ffff:127.0.0.1'))
    assert.ok(isLoopbackHost('localhost') && isLoopbackHost('127.0.0.1') && isLoopbackHost('::1'))
    assert.ok(!isLoopbackHost('localhost.example.com') && !isLoopbackHost('') && !isLoopbackHost('0.0.0.0'))
  })
})
