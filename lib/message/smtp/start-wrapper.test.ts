import { strict as assert } from 'node:assert'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { readSettings, SettingsError } from '../../process/settings.ts'
import { wrapperOptions } from './options.ts'
import { validateWrapper } from './start-wrapper.ts'

const dir = mkdtempSync(join(tmpdir(), 'wrapper-'))
const keys = join(dir, 'keys')
const noPem = join(dir, 'no.pem')

/** What is said of these options over usual ones; undefined when they are good. */
function flaw(...options: string[]): string | undefined {
  const usual = [
    '--in-hostport',
    '127.0.0.1:587',
    '--out-hostport',
    '127.0.0.1:25',
    '--no-track-open',
    '--no-track-click',
  ]
  try {
    const program = { name: 'wrapper' as const, manual: '', options: wrapperOptions }
    validateWrapper(readSettings(program, [...usual, ...options], {}, '0').settings)
    return undefined
  } catch (error) {
    if (error instanceof SettingsError) return error.message
    throw error
  }
}

describe('validateWrapper', () => {
  before(() => {
    writeFileSync(keys, 'no keys', { mode: 0o600 })
    writeFileSync(noPem, 'no certificate')
  })

  test('good settings', () => {
    assert.equal(flaw(), undefined)
    assert.equal(flaw('--in-hostport', '0.0.0.0:587', '--allow-networks', '10.0.0.0/8'), undefined)
    assert.equal(flaw('--in-hostport', '[::1]:587'), undefined)
    assert.equal(flaw('--in-hostport', 'localhost:25', '--out-hostport', 'mx.example.com:25'), undefined)
  })

  const bad: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['nobody could relay', ['--in-hostport', '0.0.0.0:587'], /--allow-networks.*--certfile/],
    ['nobody could relay, on every address', ['--in-hostport', ':587'], /--allow-networks/],
    [
      'only loopback may relay',
      ['--in-hostport', '192.0.2.1:587', '--allow-networks', '127.0.0.1,::1'],
      /--allow-networks/,
    ],
    [
      'the upstream is itself',
      ['--out-hostport', 'localhost:587'],
      /--out-hostport is where the wrapper itself listens/,
    ],
    ['no host of the upstream', ['--out-hostport', ':25'], /--out-hostport needs a host/],
    ['no tracking URL', ['--track-click', '--link-keys', keys], /--tracking-url URL is required/],
    [
      'no keys',
      ['--track-click', '--tracking-url', 'http://t.test'],
      /--link-keys FILE is required: .*linktool\.ts keys new/,
    ],
    ['bad keys', ['--link-keys', keys], /link keys .*keys/],
    ['a bad tracking URL', ['--tracking-url', 'ftp://t.test'], /--tracking-url/],
    ['half a certificate', ['--certfile', noPem], /belong together/],
    ['a certificate that is none', ['--certfile', noPem, '--privkeyfile', noPem], /is no PEM file/],
    [
      'a certificate that is not there',
      ['--certfile', '/none', '--privkeyfile', noPem],
      /--certfile \/none can't be read \(ENOENT\)/,
    ],
    ['TLS without a certificate', ['--in-tls', 'implicit'], /needs --certfile/],
    ['a bad network', ['--allow-networks', '10.0.0.0/99'], /allow-networks/],
    ['unsubscribing by mail without an address', ['--list-unsubscribe', 'mailto'], /--list-unsubscribe-mailto/],
  ]
  for (const [what, options, expected] of bad) {
    test(what, () => assert.match(flaw(...options) ?? 'good', expected))
  }
})
