import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import * as fc from 'fast-check'
import { decodeLegacyToken, legacyBytesMax } from './legacy-token.ts'

/** The 2020 project's form, padding included. */
function legacyToken(claims: unknown): string {
  const token = deflateSync(typeof claims === 'string' ? claims : JSON.stringify(claims)).toString('base64url')
  return token.padEnd(Math.ceil(token.length / 4) * 4, '=')
}

const click = { act: 'c', t_url: 'https://example.com/?a=1&b=%2F', msg_id: '0000123456789abcdef0', rcpt: 'a@b.example' }

test('decodeLegacyToken reads a link that the 2020 project made', () => {
  const token =
    'eJxUzLEOQiEMRuF3-WciGAaTTr4JwbaIUSKBMhnf_Ybxnv18P2Q2EBgOltb4gFDN-iTvraotfs8Lfxsc2nyml4AQdqJZHqqlhCDXGG9wGNw3VYbK_fT-jwAAAP__f2Mg1g=='
  assert.deepEqual(decodeLegacyToken(token), {
    action: 'click',
    messageId: '00000deadbeeff00d1337',
    url: 'https://thetucks.com',
    recipient: 'fred@thetucks.com',
  })
})

test('decodeLegacyToken reads clicks and both pixels, with or without padding, escaped or not', () => {
  const { t_url: url, msg_id: messageId, rcpt: recipient } = click
  const expected = { action: 'click', messageId, recipient, url }
  const token = legacyToken(click)
  for (const form of [token, token.replaceAll('=', ''), token.replaceAll('=', '%3D')])
    assert.deepEqual(decodeLegacyToken(form), expected)
  for (const [act, action] of [
    ['o', 'open'],
    ['i', 'initial_open'],
  ])
    assert.deepEqual(decodeLegacyToken(legacyToken({ ...click, act, t_url: '' })), { action, messageId, recipient })
})

const refused: Readonly<Record<string, unknown>> = {
  'an unknown action': { ...click, act: 'x' },
  'a script as its target': { ...click, t_url: 'javascript:alert(1)' },
  'line ends in its target': { ...click, t_url: 'https://example.com/\r\nX: y' },
  'no target': { ...click, t_url: '' },
  'a pixel with a target': { ...click, act: 'o' },
  'a target that is no text': { ...click, t_url: ['https://example.com/'] },
  'no recipient': { ...click, rcpt: undefined },
  'an id that is no text': { ...click, msg_id: 5 },
  'an id with a space': { ...click, msg_id: 'a b' },
  'an id that is too long': { ...click, msg_id: 'a'.repeat(65) },
  null: null,
  'an array': [click],
  'no JSON': '{',
  'more than may be inflated': { ...click, t_url: `https://example.com/${'a'.repeat(legacyBytesMax)}` },
}
for (const [what, claims] of Object.entries(refused))
  test(`decodeLegacyToken refuses ${what}`, () => assert.equal(decodeLegacyToken(legacyToken(claims)), undefined))

test('decodeLegacyToken refuses a bomb, without inflating it', () => {
  const bomb = deflateSync(Buffer.alloc(5_000_000, 'a')).toString('base64url')
  assert.ok(bomb.length < 8000, 'it is small enough to be looked at')
  const before = process.memoryUsage().arrayBuffers
  assert.equal(decodeLegacyToken(bomb), undefined)
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000)
})

test('decodeLegacyToken reads anything without harm', () => {
  const token = legacyToken(click)
  const cut = fc.tuple(fc.nat(token.length), fc.string({ unit: 'binary-ascii', maxLength: 3 }), fc.nat(4))
  const mutated = cut.map(([at, text, length]) => token.slice(0, at) + text + token.slice(at + length))
  fc.assert(
    fc.property(fc.oneof(fc.string(), mutated), text => {
      const link = decodeLegacyToken(text)
      if (link?.url !== undefined) assert.match(link.url, /^https?:\/\//)
    }),
    { numRuns: 2000 },
  )
})
