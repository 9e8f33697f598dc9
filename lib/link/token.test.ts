import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { deflateRawSync, deflateSync } from 'node:zlib'
import * as fc from 'fast-check'
import { sized } from '../../test/support/soak.ts'
import { encodeText } from './encode-text.ts'
import { parseKeyFile } from './key-file.ts'
import { LinkKeys } from './keys.ts'
import type { TrackedLink } from './link.ts'
import { macOf } from './mac.ts'
import {
  actions,
  isTrackableUrl,
  linkNameBytesMax,
  readUnverifiedToken,
  signToken,
  tokenCharsMax,
  verifyToken,
} from './token.ts'
import { urlUnitsMax } from './url-code.ts'

function line(id: string, state: string, byte: number): string {
  return `${id} ${state} 2026-01-01T00:00:00Z ${Buffer.alloc(32, byte).toString('base64')}\n`
}
const keys = new LinkKeys(
  parseKeyFile(line('k7', 'signing', 1) + line('k6', 'verifying', 2) + line('k5', 'revoked', 3)),
)
/** Signs as `keys` did when the key was the signing one. */
const signerWith = (id: string, byte: number) => new LinkKeys(parseKeyFile(line(id, 'signing', byte)))

const messageId = '0000123456789abcdef0'
const click: TrackedLink = { action: 'click', messageId, url: 'https://example.com/a?b=c&d=%2F#e' }

const anyUrl = fc.oneof(
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  fc
    .tuple(fc.constantFrom('http', 'https', 'HTTPS'), fc.domain(), fc.string({ unit: 'binary', maxLength: 200 }))
    .map(([scheme, host, rest]) => `${scheme}://${host}/${rest.replaceAll(/\p{Cc}/gu, '')}`),
)
const anyId = fc.oneof(
  fc.stringMatching(/^0000[0-9a-f]{16}$/),
  fc.stringMatching(/^0000[0-9A-F]{16}$/),
  fc.stringMatching(/^[!-~]{1,64}$/),
  fc.uuid(),
)
const anyName = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 63 })
  .filter(name => Buffer.byteLength(name) <= linkNameBytesMax)
const anyLink: fc.Arbitrary<TrackedLink> = fc.record(
  { action: fc.constantFrom(...actions), messageId: anyId, url: anyUrl, linkName: anyName },
  { requiredKeys: ['action', 'messageId'], noNullPrototype: true },
)

test('a link comes back as it was, in one path segment', () => {
  fc.assert(
    fc.property(anyLink, link => {
      const token = signToken(link, keys)
      assert.match(token, /^1k7[\w-]+$/)
      assert.ok(token.length <= tokenCharsMax)
      assert.deepEqual(verifyToken(token, keys), { ok: true, link, keyId: 'k7' })
      assert.deepEqual(readUnverifiedToken(token), { link, keyId: 'k7' })
    }),
    { numRuns: 3000 },
  )
})

test('tokens that are in mails since the first version still say the same', () => {
  const written: readonly (readonly [token: string, link: TrackedLink])[] = [
    ['1k7NZbhCsBrtVz5MgFoIEjRWeJq83vA', { action: 'open', messageId: '0000123456789abcdef0' }],
    [
      '1k7yXz77-EUhYUesWaoKEjRWeJq83vAtNMfeklHgSvJl_',
      {
        action: 'click',
        messageId: '0000123456789abcdef0',
        url: 'https://www.example.com/sale?utm_source=newsletter&utm_medium=email',
      },
    ],
    [
      '1k7upHvxRHiSX-IvzACV_8cgL_5W7Dpj73_n-3TZ_uIB7AG_N_td0x96T_cWXlZyz',
      { action: 'amp_click', messageId: '<id.1@shop.example>', url: 'https://example.com/日本', linkName: 'größer' },
    ],
    ['1k7vAciFDiLDFKWxK62GfVQCo4YgAYIggoumgeu_f9v', { action: 'list_unsubscribe', messageId: '00000DEADBEEFF00D137' }],
    [
      '1k79IgmNico6zsMWffHfAAAAAAAA__8S0tb-3ttMfe8H_AP3C',
      {
        action: 'link_unsubscribe',
        messageId: '0000000000000000ffff',
        url: 'http://example.org/%7eme',
        linkName: 'footer',
      },
    ],
  ]
  for (const [token, link] of written) assert.deepEqual(verifyToken(token, keys), { ok: true, link, keyId: 'k7' })
})

test('a mutated token is never accepted', t => {
  const mutations = sized(100_000, 1_000_000)
  const seed = sized(20_261_121, randomInt(1, 2 ** 31))
  t.diagnostic(`seed ${seed}`)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const tokens = fc
    .sample(anyLink, { numRuns: 500, seed })
    .flatMap(link => [signToken(link, keys), signToken(link, signerWith('k6', 2))])
  const issued = new Set(tokens)
  let state = seed
  const random = (below: number) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
  const mutate: readonly ((token: string, other: string) => string)[] = [
    token => splice(token, random(token.length), 1, alphabet[random(64)]!),
    token => splice(token, random(token.length + 1), 0, alphabet[random(64)]!),
    token => splice(token, random(token.length), 1 + random(3), ''),
    token => token.slice(0, random(token.length)),
    token => token + alphabet[random(64)],
    token => flipCase(token, random(token.length)),
    token => splice(token, 1, 2, ['k6', 'k7', 'k5', 'zz'][random(4)]!),
    // The MAC of one, the content of another; parts of two; two characters exchanged.
    (token, other) => token.slice(0, 19) + other.slice(19),
    (token, other) => token.slice(0, random(token.length)) + other.slice(random(other.length)),
    token => exchange(token, random(token.length), random(token.length)),
    token => splice(token, random(token.length), 1, String.fromCharCode(random(0x300))),
  ]
  let accepted = 0
  for (let run = 0; run < mutations; run++) {
    const mutant = mutate[run % mutate.length]!(tokens[random(tokens.length)]!, tokens[random(tokens.length)]!)
    if (!issued.has(mutant) && verifyToken(mutant, keys).ok) accepted++
  }
  assert.equal(accepted, 0)
})

function splice(text: string, at: number, count: number, by: string): string {
  return text.slice(0, at) + by + text.slice(at + count)
}

function flipCase(text: string, at: number): string {
  const character = text[at]!
  return splice(text, at, 1, character === character.toLowerCase() ? character.toUpperCase() : character.toLowerCase())
}

function exchange(text: string, first: number, second: number): string {
  return splice(splice(text, first, 1, text[second]!), second, 1, text[first]!)
}

test('verifyToken answers any text', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc.stringMatching(/^1k7[\w-]{0,100}$/),
    fc.constant(`1k7${'A'.repeat(tokenCharsMax)}`),
  )
  fc.assert(
    fc.property(texts, text => assert.equal(verifyToken(text, keys).ok, false)),
    { numRuns: 3000 },
  )
})

test('a key decides: verifying ones work, revoked ones are told from forgeries, unknown ones are unknown', () => {
  const verdictOf = (id: string, byte: number) => verifyToken(signToken(click, signerWith(id, byte)), keys)
  assert.deepEqual(verdictOf('k6', 2), { ok: true, link: click, keyId: 'k6' })
  assert.deepEqual(verdictOf('k5', 3), { ok: false, reason: 'revoked', keyId: 'k5' })
  assert.deepEqual(verdictOf('k5', 9), { ok: false, reason: 'forged', keyId: 'k5' })
  assert.deepEqual(verdictOf('k7', 9), { ok: false, reason: 'forged', keyId: 'k7' })
  assert.deepEqual(verdictOf('k8', 1), { ok: false, reason: 'unknown-key', keyId: 'k8' })
  assert.deepEqual(verifyToken('favicon', keys), { ok: false, reason: 'malformed' })
})

test('what is signed and makes no sense is refused: another action, a target that is no web address', () => {
  const signed = (content: string) => `1k7${macOf(keys.signing.secret, '1k7', content)}${content}`
  const id = Buffer.from(messageId.slice(4), 'hex').toString('base64url')
  const good = `K${id}${encodeText('https://example.com/')}`
  assert.equal(verifyToken(signed(good), keys).ok, true)
  const senseless = [
    `K${id}${encodeText('javascript:alert(1)')}`,
    `K${id}${encodeText('data:text/html,x')}`,
    `K${id}${encodeText('//example.com/')}`,
    `K${id}${encodeText('https://a\\@b/')}`,
    `K${id}${encodeText('https://example.com/\r\nX: y')}`,
    `qAAA`,
    `q${id}AAAA`,
    `q${id}${deflateRawSync('javascript:alert(1)').toString('base64url')}`,
    `q${id}${deflateRawSync(`https://example.com/${'a'.repeat(urlUnitsMax)}`).toString('base64url')}`,
    `q${id}${deflateRawSync(Buffer.alloc(5_000_000, 'a')).toString('base64url').slice(0, 7900)}`,
    'K',
    `K${id.slice(0, 10)}`,
    `C${encodeText('a b', true)}`,
    `C${encodeText('', true)}`,
    `C${encodeText('a'.repeat(65), true)}`,
    `C${encodeText('without an end')}`,
    `a${id}${encodeText('', true)}`,
  ]
  for (const content of senseless)
    assert.deepEqual(verifyToken(signed(content), keys), { ok: false, reason: 'malformed', keyId: 'k7' }, content)
})

test('the same text behind the id of two tokens says of each what its kind says, whichever is asked for first', () => {
  const id = Buffer.from(messageId.slice(4), 'hex').toString('base64url')
  const name = encodeText('https://a.example/', true)
  const url = encodeText('https://b.example/')
  const deflated = deflateRawSync('https://c.example/').toString('base64url')
  const told = (content: string) => {
    const verdict = verifyToken(`1k7${macOf(keys.signing.secret, '1k7', content)}${content}`, keys)
    return verdict.ok ? [verdict.link.url, verdict.link.linkName] : verdict.reason
  }
  for (let turn = 0; turn < 2; turn++) {
    // K: a click; a: a click with a name; q: a click whose URL is deflated.
    assert.deepEqual(told(`a${id}${name}${url}`), ['https://b.example/', 'https://a.example/'])
    assert.equal(told(`K${id}${name}${url}`), 'malformed')
    assert.deepEqual(told(`q${id}${deflated}`), ['https://c.example/', undefined])
    assert.equal(told(`K${id}${deflated}`), 'malformed')
    assert.deepEqual(told(`K${id}${url}`), ['https://b.example/', undefined])
    assert.equal(told(`q${id}${url}`), 'malformed')
  }
})

test('signToken refuses a link that the tracker would not follow', () => {
  const wrong: readonly Partial<TrackedLink>[] = [
    { url: '' },
    { url: 'mailto:a@b' },
    { url: 'https://exa mple.com' },
    { url: `https://example.com/${'a'.repeat(urlUnitsMax)}` },
    { messageId: '' },
    { messageId: 'a b' },
    { messageId: 'a'.repeat(65) },
    { linkName: '' },
    { linkName: 'ä'.repeat(32) },
  ]
  for (const members of wrong) assert.throws(() => signToken({ ...click, ...members }, keys), RangeError)
})

test('isTrackableUrl promises that signToken takes the URL, with the longest id and name', () => {
  const worst = { action: 'click', messageId: '|'.repeat(64), linkName: '|é'.repeat(21) } as const
  for (const unit of ['a', '|', '|é', 'é', '\u{1F600}', '|\ud800', '%', 'Q9', '%zZ|']) {
    for (const length of [100, 1999, 2000, 2001, 3000, 5000, 8191, 8192, 8193]) {
      const url = `https://a.example/${unit.repeat(length)}`.slice(0, length)
      if (isTrackableUrl(url)) assert.ok(signToken({ ...worst, url }, keys).length <= tokenCharsMax)
      else assert.ok(length > 2000, `${unit} ${length}`)
    }
  }
})

test('a token is shorter than that of the 2020 format for the same URL', t => {
  const urls = new Set<string>(everydayUrls)
  const corpora = resolve(import.meta.dirname, '../../../shared/corpora')
  try {
    for (const name of readdirSync(corpora, { recursive: true, encoding: 'utf8' }).filter(name =>
      /\.html?$/.test(name),
    ))
      for (const [, url] of readFileSync(resolve(corpora, name), 'latin1').matchAll(/href="(https?:\/\/[^"]+)"/g))
        urls.add(url!.replaceAll('&amp;', '&'))
  } catch {
    t.diagnostic('the corpus is not at hand')
  }
  for (const kind of longUrls) for (const url of fc.sample(kind, { numRuns: 40, seed: 20261121 })) urls.add(url)
  let ours = 0
  let theirs = 0
  const longer: string[] = []
  for (const url of [...urls].filter(isTrackableUrl)) {
    const claims = { act: 'c', t_url: url, msg_id: messageId, rcpt: 'any@example.com' }
    const legacy = Math.ceil(deflateSync(JSON.stringify(claims)).length / 3) * 4
    const { length } = signToken({ ...click, url }, keys)
    if (length >= legacy) longer.push(url)
    ours += length
    theirs += legacy
  }
  assert.deepEqual(longer, [])
  t.diagnostic(`${urls.size} URLs: ${ours} characters, ${theirs} in the 2020 format`)
})

const everydayUrls = [
  'https://example.com',
  'https://www.example.com/products/blue-suede-shoes?utm_source=newsletter&utm_medium=email&utm_campaign=spring_sale',
  'https://example.us14.list-manage.example/track/click?u=3f21937f0f636c8cec1db30bf&id=594eb744a2&e=042ea43672',
  'https://example.com/r?to=https%3A%2F%2Fother.example%2F%3Fa%3D1%26b%3D2&sig=q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ',
  'https://example.com/%D0%B7%D0%B8%D0%BC%D0%BD%D1%8F%D1%8F-%D1%80%D0%B0%D1%81%D0%BF%D1%80%D0%BE%D0%B4%D0%B0%D0%B6%D0%B0',
  'https://example.com/日本語/夏のセール?色=青',
  'https://xn--bcher-kva.example/[1]/{2}?a=b|c',
  `https://example.com/deep?${Array.from({ length: 60 }, (_, index) => `parameter_${index}=value_${index}`).join('&')}`,
  `https://example.com/${'a'.repeat(2000)}`,
  `https://example.com/${Array.from({ length: 40 }, (_, index) => `%F0%9F%98%${(128 + index).toString(16)}`).join('')}`,
]

/** Longer URLs of the kinds that are met: many parameters, random tokens, escapes, words. */
const longUrls = [
  'a',
  '0',
  'Q',
  '0123456789abcdef',
  '0123456789',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
  'AZaz09-_',
  'дом',
  '日本語',
]
  .map(sample => fc.string({ unit: fc.constantFrom(...Array.from(sample)), minLength: 40, maxLength: 1500 }))
  .concat([
    fc.string({ unit: fc.constantFrom(...everyWordCharacter()), minLength: 40, maxLength: 1500 }),
    fc.string({ unit: 'grapheme', minLength: 40, maxLength: 400 }).map(text => encodeURIComponent(text)),
    fc
      .array(fc.constantFrom('spring-', 'sale-', 'new-', 'offer-'), { minLength: 10, maxLength: 200 })
      .map(words => words.join('')),
    fc
      .array(fc.nat(1_000_000), { minLength: 5, maxLength: 60 })
      .map(ids => ids.map((id, index) => `items%5B${index}%5D%5Bid%5D=${id}&items%5B${index}%5D%5Bqty%5D=1`).join('&')),
    fc
      .array(fc.webUrl({ withQueryParameters: true }), { maxLength: 12 })
      .map(urls => encodeURIComponent(encodeURIComponent(urls.join('|')))),
  ])
  .map(rest => rest.map(text => `https://www.example.com/path?data=${text}`))

function everyWordCharacter(): string[] {
  return Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
}
