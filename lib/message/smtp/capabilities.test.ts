import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { announce, announcedSize, readCapabilities } from './capabilities.ts'

const own = { messageBytesMax: 1000, startTls: false, auth: true }

describe('announce', () => {
  test('never more than the upstream announces', () => {
    const known = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES', 'SIZE', 'AUTH PLAIN']
    const foreign = [
      'CHUNKING',
      'BINARYMIME',
      'XCLIENT NAME',
      'XFORWARD NAME',
      'BURL',
      'ETRN',
      'VRFY',
      'REQUIRETLS',
      'STARTTLS',
    ]
    fc.assert(
      fc.property(fc.subarray([...known, ...foreign]), lines => {
        const words = announce(readCapabilities(lines), own).map(line => line.split(' ')[0] ?? '')
        const expected = known.filter(line => lines.includes(line)).map(line => line.split(' ')[0] ?? '')
        assert.deepEqual(new Set(words), new Set(expected))
        assert.equal(words.length, expected.length)
      }),
    )
  })

  test('SIZE is the smaller of both', () => {
    assert.deepEqual(announce(readCapabilities(['SIZE 500']), own), ['SIZE 500'])
    assert.deepEqual(announce(readCapabilities(['size 5000']), own), ['SIZE 1000'])
    assert.deepEqual(announce(readCapabilities(['SIZE 0']), own), ['SIZE 1000'])
    assert.equal(announcedSize(readCapabilities([]), 1000), 1000)
  })

  test('AUTH in both spellings, without what a relay breaks, and only where it is safe', () => {
    const upstream = readCapabilities(['AUTH PLAIN GSSAPI scram-sha-256 SCRAM-SHA-256-PLUS', 'AUTH=LOGIN PLAIN'])
    assert.deepEqual(announce(upstream, own), ['AUTH PLAIN SCRAM-SHA-256 LOGIN'])
    assert.deepEqual(announce(upstream, { ...own, auth: false }), [])
  })

  test('STARTTLS is ours', () => {
    assert.deepEqual(announce(readCapabilities(['STARTTLS']), own), [])
    assert.deepEqual(announce(readCapabilities([]), { ...own, startTls: true }), ['STARTTLS'])
  })
})
