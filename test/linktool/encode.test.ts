import assert from 'node:assert/strict'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { LinkKeys } from '../../lib/link/keys.ts'
import { tokenOfUrl } from '../../lib/link/link-url.ts'
import { verifyToken } from '../../lib/link/token.ts'
import { keyLine, writeKeyFile } from '../support/link-keys.ts'
import { linktool, temporaryFolder } from './linktool.ts'

const keys = join(temporaryFolder(), 'keys')
before(() => writeKeyFile(keys, keyLine('k7', 'signing')))

const legacy =
  'eJxUzLEOQiEMRuF3-WciGAaTTr4JwbaIUSKBMhnf_Ybxnv18P2Q2EBgOltb4gFDN-iTvraotfs8Lfxsc2nyml4AQdqJZHqqlhCDXGG9wGNw3VYbK_fT-jwAAAP__f2Mg1g=='

test('encode makes the link that the wrapper would, from options of either spelling', async () => {
  const url = 'https://example.com/?a=1&b=%2F#日本'
  const words = [
    ['--action', 'click', '--message-id', '0000123456789abcdef0', '--target-link-url', url, '--link-name', 'main'],
    ['-action', 'click', '-message_id', '0000123456789abcdef0', '-target_link_url', url, '--link_name=main'],
  ]
  for (const given of words) {
    const args = ['encode', ...given, '-tracking_url', 'https://track.example.com/', '--link-keys', keys]
    const { code, stdout, stderr } = await linktool(args)
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^https:\/\/track\.example\.com\/1k7[\w-]+\n$/)
    assert.deepEqual(verifyToken(tokenOfUrl(stdout), LinkKeys.load(keys)), {
      ok: true,
      keyId: 'k7',
      link: { action: 'click', messageId: '0000123456789abcdef0', url, linkName: 'main' },
    })
  }
})

test('encode takes the recipient that the 2020 tool wants, and keeps it out of the link and the output', async () => {
  const args = ['encode', '-action', 'open', '-message_id', 'id@1', '-rcpt_to', 'fred@example.org']
  const { code, stdout, stderr } = await linktool([...args, '-tracking_url', 'https://t.example', '--link-keys', keys])
  assert.equal(code, 0)
  assert.match(stderr, /--rcpt-to is not put into the link/)
  assert.ok(!(stdout + stderr).includes('fred'))
  const verdict = verifyToken(tokenOfUrl(stdout), LinkKeys.load(keys))
  assert.deepEqual(verdict.ok && verdict.link, { action: 'open', messageId: 'id@1' })
})

test('encode refuses what makes no link, in one line', async () => {
  const common = ['--tracking-url', 'https://t.example', '--link-keys', keys]
  const wrong: readonly (readonly [args: readonly string[], code: number, message: RegExp])[] = [
    [['--action', 'click', ...common], 2, /--target-link-url URL is required for click/],
    [['--action', 'open', '--target-link-url', 'https://e.example', ...common], 2, /has no meaning for open/],
    [['--action', 'look', ...common], 2, /expected one of/],
    [['--action', 'open', '--message-id', 'a b', ...common], 2, /1 to 64 visible characters/],
    [['--action', 'click', '--target-link-url', 'javascript:x', ...common], 1, /nothing to redirect to/],
    [['--action', 'open', '--tracking-url', 'track.example', '--link-keys', keys], 2, /expected a URL such as/],
    [['--action', 'open', '--link-keys', keys], 2, /--tracking-url URL is required/],
  ]
  for (const [args, code, message] of wrong) {
    const outcome = await linktool(['encode', ...args])
    assert.deepEqual([outcome.code, outcome.stdout], [code, ''], args.join(' '))
    assert.match(outcome.stderr, message)
  }
})

test('decode reads our links: checked with the keys, unchecked without, and tells a changed one', async () => {
  const made = ['encode', '--action', 'click', '--message-id', '00001f8a036500000001', '--link-name', 'x']
  const args = [...made, '--target-link-url', 'https://example.com/', '--tracking-url', 'https://t.example']
  const link = (await linktool([...args, '--link-keys', keys])).stdout.trim()
  const read = await linktool(['decode', link, '--link-keys', keys])
  assert.equal(read.code, 0)
  for (const line of [
    /^signature +valid$/m,
    /^key +k7 \(signing\)$/m,
    /^action +click$/m,
    /^URL +https:\/\/example\.com\/$/m,
  ])
    assert.match(read.stdout, line)
  assert.deepEqual(JSON.parse((await linktool(['decode', link, '--json'])).stdout), {
    format: 'version 1',
    signature: 'unchecked',
    key_id: 'k7',
    action: 'click',
    message_id: '00001f8a036500000001',
    stamped: '2023-09-14T22:33:03.000Z',
    link_name: 'x',
    url: 'https://example.com/',
  })
  const forged = await linktool(['decode', `${link.slice(0, -4)}AAAA`, '--link-keys', keys])
  assert.equal(forged.code, 1)
  assert.match(forged.stdout, /NOT VALID/)
  const cut = await linktool(['decode', link.slice(0, 45), '--link-keys', keys])
  assert.equal(cut.code, 1)
})

test('decode reads links of the 2020 project and says that nothing protects them', async () => {
  const { code, stdout } = await linktool(['decode', `https://track.example/${legacy}`, '--link-keys', keys])
  assert.equal(code, 0)
  assert.match(stdout, /^signature +none: anybody can make such a link/m)
  assert.match(stdout, /^recipient +fred@thetucks\.com$/m)
  assert.match(stdout, /^URL +https:\/\/thetucks\.com$/m)
  const within = `https://eur01.safelinks.example/?url=${encodeURIComponent(`https://t.example/${legacy}`)}&data=05`
  assert.equal((await linktool(['decode', within])).stdout, stdout)
  const other = await linktool(['decode', 'https://example.com/about'])
  assert.deepEqual([other.code, other.stdout], [1, ''])
  assert.match(other.stderr, /^linktool: this is no link that can be read: "https:\/\/example.com\/about"\n$/)
})
