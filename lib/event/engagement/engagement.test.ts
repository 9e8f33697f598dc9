import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import * as fc from 'fast-check'
import { parseKeyFile } from '../../link/key-file.ts'
import { LinkKeys } from '../../link/keys.ts'
import { trapLinkName, type TrackedLink } from '../../link/link.ts'
import { signToken } from '../../link/token.ts'
import { newMessageId } from '../../record/message-id.ts'
import { NetworkList } from '../../network/network-list.ts'
import { decide, TrackerMemory, type Decision, type TrackerPolicy, type TrackerRequest } from './engagement.ts'

const line = (id: string, state: string, byte: number) =>
  `${id} ${state} 2026-01-01T00:00:00Z ${Buffer.alloc(32, byte).toString('base64')}\n`
const keys = new LinkKeys(
  parseKeyFile(line('k1', 'signing', 1) + line('k0', 'verifying', 2) + line('kr', 'revoked', 3)),
)
const signer = (id: string, byte: number) => new LinkKeys(parseKeyFile(line(id, 'signing', byte)))

const now = 1_800_000_000_000
const messageId = newMessageId(now - 3_600_000)
const policy: TrackerPolicy = {
  pathPrefix: '',
  trustedProxies: NetworkList.of(),
  addressDetail: 'full',
  legacyLinks: 'off',
  legacyHosts: [],
  earlyClickMs: 5000,
  geoOf: undefined,
  isAppleRelay: undefined,
}
const human =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36'
const blank: TrackerRequest = {
  method: 'GET',
  target: '/',
  userAgent: human,
  forwardedFor: undefined,
  realIp: undefined,
  contentType: undefined,
  body: Buffer.alloc(0),
  peer: '203.0.113.77',
}

function ask(request: Partial<TrackerRequest>, rules: Partial<TrackerPolicy> = {}, memory = fresh()): Decision {
  return decide({ ...blank, ...request }, now, keys, { ...policy, ...rules }, memory)
}

function fresh() {
  return new TrackerMemory()
}

function link(tracked: Partial<TrackedLink> = {}, by = keys): string {
  return `/${signToken({ action: 'click', messageId, url: 'https://example.com/a?b=c', ...tracked }, by)}`
}

function pixelLink(action: TrackedLink['action'] = 'open', by = keys): string {
  return `/${signToken({ action, messageId }, by)}`
}

function header({ answer }: Decision, name: string): string | undefined {
  const index = answer.headers.findIndex((text, at) => at % 2 === 0 && text.toLowerCase() === name)
  return index < 0 ? undefined : answer.headers[index + 1]
}

const oneClick = {
  method: 'POST',
  contentType: 'application/x-www-form-urlencoded',
  body: Buffer.from('List-Unsubscribe=One-Click'),
}

/** Whatever is asked: what is answered, and which event it means. */
const contract: readonly (readonly [
  why: string,
  request: Partial<TrackerRequest>,
  status: number,
  type: string,
  event: string | undefined,
])[] = [
  ['pixel', { target: pixelLink() }, 200, 'image/gif', 'open'],
  ['top pixel', { target: pixelLink('initial_open') }, 200, 'image/gif', 'initial_open'],
  ['AMP pixel', { target: pixelLink('amp_open') }, 200, 'image/gif', 'amp_open'],
  ['pixel by HEAD', { method: 'HEAD', target: pixelLink() }, 200, 'image/gif', undefined],
  ['click', { target: link() }, 302, '', 'click'],
  ['click by HEAD', { method: 'HEAD', target: link() }, 302, '', undefined],
  ['AMP click', { target: link({ action: 'amp_click' }) }, 302, '', 'amp_click'],
  ['click with something added', { target: `${link()}?fbclid=1#x` }, 302, '', 'click'],
  ['click, absolute form', { target: `http://track.example${link()}` }, 302, '', 'click'],
  ['click by an older key', { target: link({}, signer('k0', 2)) }, 302, '', 'click'],
  ['click by a revoked key', { target: link({}, signer('kr', 3)) }, 410, 'text/html', undefined],
  ['click by an unknown key', { target: link({}, signer('kx', 4)) }, 404, 'text/plain', undefined],
  ['click by a key of the same name', { target: link({}, signer('k1', 5)) }, 404, 'text/plain', undefined],
  ['click, last character changed', { target: `${link().slice(0, -1)}_` }, 404, 'text/plain', undefined],
  ['click, cut short', { target: link().slice(0, -1) }, 404, 'text/plain', undefined],
  ['click by POST', { ...oneClick, target: link() }, 405, 'text/plain', undefined],
  ['pixel by POST', { ...oneClick, target: pixelLink() }, 405, 'text/plain', undefined],
  ['unsubscribe link', { target: link({ action: 'link_unsubscribe' }) }, 302, '', 'link_unsubscribe'],
  ['unsubscribe page', { target: pixelLink('list_unsubscribe') }, 200, 'text/html', undefined],
  ['unsubscribe page by HEAD', { method: 'HEAD', target: pixelLink('list_unsubscribe') }, 200, 'text/html', undefined],
  ['unsubscribe', { ...oneClick, target: pixelLink('list_unsubscribe') }, 200, 'text/html', 'list_unsubscribe'],
  ['unsubscribe, no form', { method: 'POST', target: pixelLink('list_unsubscribe') }, 400, 'text/plain', undefined],
  [
    'unsubscribe, long form',
    { ...oneClick, body: Buffer.alloc(1025, 'a'), target: pixelLink('list_unsubscribe') },
    413,
    'text/plain',
    undefined,
  ],
  ['unsubscribe, forged', { ...oneClick, target: `${pixelLink('list_unsubscribe')}A` }, 404, 'text/plain', undefined],
  ['robots', { target: '/robots.txt' }, 200, 'text/plain', undefined],
  ['robots by HEAD', { method: 'HEAD', target: '/robots.txt' }, 200, 'text/plain', undefined],
  ['robots by POST', { method: 'POST', target: '/robots.txt' }, 405, 'text/plain', undefined],
  ['root', { target: '/' }, 404, 'text/plain', undefined],
  ['favicon', { target: '/favicon.ico' }, 404, 'text/plain', undefined],
  ['well-known', { target: '/.well-known/assetlinks.json' }, 404, 'text/plain', undefined],
  ['open redirect of others', { target: '/?url=https://evil.example/' }, 404, 'text/plain', undefined],
  ['long path', { target: `/${'a'.repeat(8192)}` }, 414, 'text/plain', undefined],
  ['longest path', { target: `/${'a'.repeat(8191)}` }, 404, 'text/plain', undefined],
  ['NUL', { target: '/a\0b' }, 404, 'text/plain', undefined],
  ['bad escape', { target: '/%E0%A4%A' }, 404, 'text/plain', undefined],
  ['up and away', { target: '/../../etc/passwd' }, 404, 'text/plain', undefined],
  ['asterisk', { method: 'OPTIONS', target: '*' }, 405, 'text/plain', undefined],
  ...['OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'get', ''].map(
    method =>
      [`${method || 'no method'} on a click`, { method, target: link() }, 405, 'text/plain', undefined] as const,
  ),
]

for (const [why, request, status, type, event] of contract) {
  test(`decide: ${why} → ${status}`, () => {
    const decision = ask(request)
    assert.equal(decision.answer.status, status)
    assert.equal(header(decision, 'content-type')?.replace(/;.*/, '') ?? '', type)
    assert.equal(decision.event?.type, event)
    assert.equal(header(decision, 'content-length'), String(decision.answer.body.length))
    assert.equal(header(decision, 'cache-control'), 'no-store, no-cache, private, max-age=0')
    assert.equal(header(decision, 'referrer-policy'), 'no-referrer')
    assert.equal(header(decision, 'x-content-type-options'), 'nosniff')
    assert.equal(header(decision, 'x-robots-tag'), 'noindex, nofollow')
    assert.match(header(decision, 'content-security-policy') ?? '', /^default-src 'none';/)
    assert.equal(header(decision, 'etag'), undefined)
    assert.equal(header(decision, 'location') !== undefined, status === 302)
    assert.equal(header(decision, 'allow') !== undefined, status === 405)
  })
}

test('decide answers HEAD as it answers GET', () => {
  for (const target of [pixelLink(), link(), '/robots.txt', '/', pixelLink('list_unsubscribe')]) {
    assert.deepEqual(ask({ method: 'HEAD', target }).answer, ask({ target }).answer)
  }
})

test('decide makes an event of what was asked', () => {
  const { event } = ask({ target: link({ linkName: 'Über uns' }) })
  assert.match(event?.id ?? '', /^\d+$/)
  assert.deepEqual(
    { ...event, id: '' },
    {
      id: '',
      type: 'click',
      messageId,
      at: now,
      ip: '203.0.113.77',
      userAgent: human,
      url: 'https://example.com/a?b=c',
      linkName: 'Über uns',
      verdict: { device: 'desktop', os: 'Windows 10' },
    },
  )
})

test('decide keeps of the address what may be kept, and the place no better than that', () => {
  const geoOf = (address: string) => ({ city: address })
  const about = (addressDetail: TrackerPolicy['addressDetail']) => {
    const { event } = ask({ target: pixelLink() }, { addressDetail, geoOf })
    return [event?.ip, event?.geo?.city]
  }
  assert.deepEqual(about('full'), ['203.0.113.77', '203.0.113.77'])
  assert.deepEqual(about('truncate'), ['203.0.113.0', '203.0.113.0'])
  assert.deepEqual(about('none'), [undefined, undefined])
})

test('decide believes a proxy that is trusted', () => {
  const trustedProxies = NetworkList.of('203.0.113.0/24')
  const request = { target: pixelLink(), forwardedFor: '6.6.6.6, 7.7.7.7' }
  assert.equal(ask(request, { trustedProxies }).event?.ip, '7.7.7.7')
  assert.equal(ask(request).event?.ip, '203.0.113.77')
})

test('decide judges by what was seen before, and answers the same', () => {
  const memory = fresh()
  const first = ask({ target: link() }, {}, memory)
  const again = ask({ target: link() }, {}, memory)
  assert.equal(first.event?.verdict?.repeat, undefined)
  assert.equal(again.event?.verdict?.repeat, true)
  assert.notEqual(first.event?.id, again.event?.id)
  assert.deepEqual(first.answer, again.answer)
  ask({ method: 'HEAD', target: link() }, {}, memory)
  assert.equal(ask({ target: link() }, {}, memory).event?.verdict?.reason, 'after-head')
})

test('decide takes a click on the trap for a machine, and the clicks after it', () => {
  const memory = fresh()
  const trap = ask({ target: link({ linkName: trapLinkName }) }, {}, memory)
  assert.deepEqual([trap.answer.status, trap.event?.verdict?.reason], [302, 'trap'])
  assert.equal(ask({ target: link() }, {}, memory).event?.verdict?.reason, 'after-trap')
})

test('decide asks the list of relays for Apple only', () => {
  const asked: string[] = []
  const isAppleRelay = (address: string) => asked.push(address) > 0 && address === '7.7.7.7'
  const from = (peer: string, userAgent: string) =>
    ask({ target: pixelLink(), peer, userAgent }, { isAppleRelay }).event?.verdict?.reason
  assert.equal(from('7.7.7.7', 'Mozilla/5.0'), 'apple-mpp')
  assert.equal(from('8.8.8.8', 'Mozilla/5.0'), 'known-bot')
  assert.equal(from('9.9.9.9', human), undefined)
  assert.deepEqual(asked, ['7.7.7.7', '8.8.8.8'])
})

test('decide finds tokens below the path of the tracking URL', () => {
  for (const target of [link(), `/t${link()}`]) assert.equal(ask({ target }, { pathPrefix: '/t' }).answer.status, 302)
  assert.equal(ask({ target: `/t${link()}` }).answer.status, 404)
})

test('decide redirects to the URL as it was written', () => {
  fc.assert(
    fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), url => {
      const decision = ask({ target: link({ url }) })
      assert.equal(decision.answer.status, 302)
      assert.equal(header(decision, 'location'), url)
      assert.equal(decision.event?.url, url)
    }),
    { numRuns: 2000 },
  )
})

// The older format.

function legacy(claims: Record<string, unknown>): string {
  const zlib = deflateSync(JSON.stringify({ msg_id: messageId, rcpt: 'fred@thetucks.com', ...claims }))
  return `/${zlib.toString('base64').replaceAll('+', '-').replaceAll('/', '_')}`
}
const legacyClick = (url: string) => legacy({ act: 'c', t_url: url })
const legacyOpen = legacy({ act: 'o', t_url: '' })
const known: Partial<TrackerPolicy> = { legacyLinks: 'allow', legacyHosts: ['thetucks.com', '*.thetucks.com'] }

test('decide does not know the older format unless told to', () => {
  assert.equal(ask({ target: legacyClick('https://thetucks.com') }).answer.status, 404)
  assert.equal(ask({ target: legacyOpen }).answer.status, 404)
})

test('decide shows where a link of the older format leads', () => {
  const decision = ask({ target: legacyClick('https://thetucks.com/?a=1&b="><script>') }, { legacyLinks: 'confirm' })
  assert.equal(decision.answer.status, 200)
  const html = decision.answer.body.toString()
  assert.match(html, /<strong>thetucks\.com<\/strong>/)
  assert.match(html, /href="https:\/\/thetucks\.com\/\?a=1&#38;b=&#34;&#62;&#60;script&#62;"/)
  assert.doesNotMatch(html, /<script|fred/)
  assert.equal(header(decision, 'location'), undefined)
  assert.equal(decision.event?.type, 'click')
  assert.doesNotMatch(JSON.stringify(decision.event), /fred/)
})

const legacyTargets: readonly [url: string, status: number][] = [
  ['https://thetucks.com', 302],
  ['http://THETUCKS.com/x', 302],
  ['https://www.thetucks.com:8443/x', 302],
  ['https://evil.example/', 200],
  ['https://thetucks.com.evil.example/', 200],
  ['https://eviltheTucks.com/', 200],
  ['https://thetucks.com@evil.example/', 200],
  ['https://evil.example@thetucks.com/', 200],
  ['https://evil.example#@thetucks.com/', 200],
  ['https://thetucks.com\\@evil.example/', 404],
  ['https://thetucks.com/\\evil.example/', 200],
  ['javascript:alert(1)', 404],
  ['//thetucks.com', 404],
  ['https://thetucks.com/\r\nX: y', 404],
]

for (const [url, status] of legacyTargets) {
  test(`decide: an unsigned link to ${JSON.stringify(url)} → ${status}`, () => {
    const decision = ask({ target: legacyClick(url) }, known)
    assert.equal(decision.answer.status, status)
    assert.equal(header(decision, 'location'), status === 302 ? url : undefined)
  })
}

test('decide records opens of the older format', () => {
  const decision = ask({ target: legacyOpen }, { legacyLinks: 'confirm' })
  assert.deepEqual([decision.answer.status, decision.event?.type, decision.event?.messageId], [200, 'open', messageId])
})

test('decide does not let unsigned links cast doubt on signed ones', () => {
  const memory = fresh()
  for (const n of [1, 2, 3]) ask({ target: legacyClick(`https://thetucks.com/${n}`) }, known, memory)
  ask({ method: 'HEAD', target: legacyClick('https://thetucks.com/') }, known, memory)
  assert.deepEqual(ask({ target: link() }, known, memory).event?.verdict, { device: 'desktop', os: 'Windows 10' })
})

test('decide is total, never answers 5xx, and redirects to nobody’s choice but a signer’s', () => {
  const mutated = fc
    .tuple(fc.constantFrom(link(), pixelLink(), legacyOpen), fc.nat(), fc.string({ unit: 'binary', maxLength: 4 }))
    .map(([text, at, put]) => text.slice(0, at % text.length) + put + text.slice((at % text.length) + put.length))
  const anything = fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'OPTIONS', 'X'),
    target: fc.oneof(fc.string({ unit: 'binary' }), fc.webPath(), mutated),
    userAgent: fc.option(fc.string(), { nil: undefined }),
    forwardedFor: fc.option(fc.string(), { nil: undefined }),
    realIp: fc.option(fc.string(), { nil: undefined }),
    contentType: fc.option(fc.string(), { nil: undefined }),
    body: fc.uint8Array({ maxLength: 1100 }).map(bytes => Buffer.from(bytes)),
    peer: fc.option(fc.string(), { nil: undefined }),
  })
  const trustedProxies = NetworkList.of('0.0.0.0/0', '::/0')
  const valid = new Set([link(), pixelLink(), legacyOpen])
  fc.assert(
    fc.property(anything, request => {
      const decision = ask(request, { ...known, trustedProxies })
      assert.ok(decision.answer.status < 500)
      for (const text of decision.answer.headers) assert.match(text, /^[ -~]*$/)
      if (decision.answer.status === 302) {
        assert.ok(valid.has(request.target.replace(/[?#].*/s, '')) || request.target.includes('%'), request.target)
      }
    }),
    { numRuns: 5000 },
  )
})
