import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { isNearAddress, relayAddress } from './relay.ts'

test('relayAddress is what stands in brackets', () => {
  assert.equal(relayAddress('mx.example.com[192.0.2.1]:25'), '192.0.2.1')
  assert.equal(relayAddress('mx.example.com[2001:db8::1]:25'), '2001:db8::1')
  assert.equal(relayAddress('mta[private/dovecot-lmtp]'), 'private/dovecot-lmtp')
  for (const relay of ['local', 'none', 'mx.example.com[192.0.2.1']) assert.equal(relayAddress(relay), undefined, relay)
})

test('isNearAddress', () => {
  const near = [
    ...['127.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '100.64.0.1', '169.254.1.1'],
    ...['::1', 'fd00::1', 'FC00::1', 'fe80::1%eth0', 'febf::1', '::ffff:10.0.0.1', 'private/dovecot-lmtp'],
  ]
  for (const address of near) assert.ok(isNearAddress(address), address)
  const far = [
    ...['192.0.2.1', '172.15.255.255', '172.32.0.1', '11.0.0.1', '100.63.255.255', '100.128.0.0', '1.127.0.1'],
    ...['2001:db8::1', 'fec0::1', '::2', 'fd.example.com', ''],
  ]
  for (const address of far) assert.ok(!isNearAddress(address), address)
})
