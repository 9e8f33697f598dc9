import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { scanHtml } from '../html/scan-html.ts'
import { judgeLink, judgeUrl, linkAttributes, type LinkContext, type LinkVerdict, urlHost } from './link-policy.ts'

const plain: LinkContext = { trackingHost: 'track.example.com', charset: 'utf-8', amp: false }

function judge(tag: string, context: Partial<LinkContext> = {}): LinkVerdict {
  const link = scanHtml(Buffer.from(tag).toString('latin1'), undefined, undefined, linkAttributes).links[0]
  assert.ok(link, tag)
  return judgeLink(link, { ...plain, ...context })
}

const reasonOf = (tag: string, context?: Partial<LinkContext>): string => {
  const verdict = judge(tag, context)
  return verdict.wrap ? 'wrapped' : verdict.reason
}

test('judgeLink wraps http and https, entities decoded once, every other character kept', () => {
  const urls: [string, string][] = [
    ['http://e.example', 'http://e.example'],
    ['HTTPS://E.example/A', 'HTTPS://E.example/A'],
    [' \n http://e.example/ \t', 'http://e.example/'],
    ['http://e.example/?a=1&amp;b=2', 'http://e.example/?a=1&b=2'],
    ['http://e.example/?a=1&b=2&copy=3', 'http://e.example/?a=1&b=2&copy=3'],
    ['http://e.example/?a&amp;amp;b', 'http://e.example/?a&amp;b'],
    ['http://e.example/&#x26;&#38;&quot;', 'http://e.example/&&"'],
    ['http://e.example/a%2Fb%20c', 'http://e.example/a%2Fb%20c'],
    ['http://bücher.example/ü?q=ß#é', 'http://bücher.example/ü?q=ß#é'],
    ['http://e.example/😀', 'http://e.example/😀'],
    ['http://[2001:db8::1]:8080/[x]?a[0]=1', 'http://[2001:db8::1]:8080/[x]?a[0]=1'],
    [`http://e.example/${'x'.repeat(3000)}`, `http://e.example/${'x'.repeat(3000)}`],
    ['http://e.example/a b', 'http://e.example/a b'],
    ["http://e.example/it's|a~b", "http://e.example/it's|a~b"],
    ['http://e.example/a\r\n b', 'http://e.example/a b'],
    ['http://e.example/100%%20off', 'http://e.example/100%%20off'],
    ['https://user:pw@e.example/', 'https://user:pw@e.example/'],
    ['http://track.example.com.evil.example/', 'http://track.example.com.evil.example/'],
  ]
  for (const [written, url] of urls) {
    const expected = { wrap: true, url, action: 'click' }
    assert.deepEqual(judge(`<a href="${written.replaceAll('"', '&quot;')}">`), expected, written)
  }
})

test('judgeLink leaves alone what is no web link or not its own', () => {
  const cases: Record<string, string[]> = {
    'no-href': [''],
    empty: ['href', 'href=""', 'href="  "'],
    fragment: ['href="#top"', 'href=" #"'],
    scheme: [
      'mailto:a@b',
      'tel:+1',
      'sms:1',
      'cid:x@y',
      'data:text/html,x',
      'javascript:alert(1)',
      'ftp://x',
      'HTTP+notrack://x',
      'myapp://x',
    ].map(url => `href="${url}"`),
    relative: [
      'href="/x"',
      'href="x/y.html"',
      'href="?x"',
      'href="//e.example/x"',
      'href="&#104;ttp://e.example"',
      'href="www.e.example"',
    ],
    template: [
      'href="{{url}}"',
      'href="http://e.example/{{ id }}"',
      'href="{% url %}"',
      'href="http://e.example/?x={% x %}"',
      'href="*|ARCHIVE|*"',
      'href="http://e.example/?e=*|EMAIL|*"',
      'href="http://e.example/?e=*%7CEMAIL%7C*"',
      'href="http://e.example/%%user%%"',
      'href="%%unsubscribe%%"',
      'href="<% x %>"',
      'href="http://e.example/?<%= x %>"',
      'href="[[link]]"',
      'href="http://e.example/[[x]]"',
      'href="http://e.example/%7B%7Bid%7D%7D"',
      'href="http://${host}/"',
    ],
    'tracking-host': [
      'http://track.example.com/x',
      'https://TRACK.example.com',
      'https://track.example.com:443/x',
      'http://u@track.example.com:80',
    ].map(url => `href="${url}"`),
    'malformed-url': [
      'href="http://"',
      'href="http:///x"',
      'href="https:/e.example"',
      'href="http:e.example"',
      'href="http://:80/"',
      'href="http://e.example/&#1;"',
      'href="http://e.example/&#10;x"',
      `href="http://e.example/${'x'.repeat(8200)}"`,
    ],
    'ambiguous-tag': [
      `href="http://e.example/\n<a href="http://e.example/"`,
      `href="http://e.example" x"y"`,
      `href=http://e.example/it's`,
    ],
  }
  for (const [reason, attributes] of Object.entries(cases)) {
    for (const attribute of attributes) assert.equal(reasonOf(`<a ${attribute}>`), reason, attribute)
  }
})

test('judgeLink heeds every spelling of the opt-out', () => {
  const out = [
    'data-msys-clicktrack="0"',
    'DATA-MSYS-CLICKTRACK=0',
    'clicktracking=off',
    "clicktracking='OFF'",
    'disable-tracking=true',
    'disable-tracking',
    'data-pm-no-track',
    'data-pm-no-track="true"',
    'ses:no-track',
    'mautic:disable-tracking="true"',
    'mautic:disable-tracking',
    'data-no-track',
  ]
  for (const attribute of out) {
    assert.equal(reasonOf(`<a ${attribute} href="http://e.example">`), 'opt-out', attribute)
    assert.equal(reasonOf(`<a href="http://e.example" ${attribute}>`), 'opt-out', attribute)
  }
  const not = [
    'data-msys-clicktrack="1"',
    'clicktracking=on',
    'disable-tracking=false',
    'data-track',
    'data-no-tracking',
    'constructor',
  ]
  for (const attribute of not) assert.equal(reasonOf(`<a ${attribute} href="http://e.example">`), 'wrapped', attribute)
})

test('judgeLink reads name and unsubscribe mark', () => {
  assert.deepEqual(judge('<a href="http://e.example" data-msys-linkname="Top &amp; Sale ü">'), {
    wrap: true,
    url: 'http://e.example',
    action: 'click',
    linkName: 'Top & Sale ü',
  })
  const long = judge(`<a href="http://e.example" data-msys-linkname="${'ü'.repeat(60)}">`)
  assert.equal(long.wrap && long.linkName, 'ü'.repeat(31))
  const unsubscribe = judge('<a href="http://e.example" data-msys-unsubscribe="1">')
  assert.equal(unsubscribe.wrap && unsubscribe.action, 'link_unsubscribe')
  const not = judge('<a href="http://e.example" data-msys-unsubscribe="0">')
  assert.equal(not.wrap && not.action, 'click')
  const amp = judge('<a href="http://e.example">', { amp: true })
  assert.equal(amp.wrap && amp.action, 'amp_click')
})

test('judgeLink reads the URL in the charset of its part', () => {
  const tag = (bytes: string) => ({
    ambiguous: false,
    attributes: [{ name: 'href', value: bytes, valueStart: 0, valueEnd: 0 }],
  })
  const url = (bytes: string, charset: string | undefined): string => {
    const verdict = judgeLink(tag(bytes), { ...plain, charset })
    return verdict.wrap ? verdict.url : verdict.reason
  }
  assert.equal(url('http://e.example/\xFC', 'iso-8859-1'), 'http://e.example/ü')
  assert.equal(url('http://e.example/\xFC', 'utf-8'), 'charset')
  assert.equal(url('http://e.example/\xFC', 'x-unknown'), 'charset')
  assert.equal(url('http://e.example/\xFC', undefined), 'charset')
  assert.equal(url('http://e.example/\xC3\xBC', undefined), 'http://e.example/ü')
  assert.equal(url('http://e.example/\xC3\xBC', 'us-ascii'), 'http://e.example/ü')
  assert.equal(url('http://e.example/\x93\xFA', 'shift_jis'), 'http://e.example/日')
  // What a browser sends of the query are the bytes of the page.
  assert.equal(url('http://e.example/\xFC?q=\xFC&r#\xFC', 'windows-1252'), 'http://e.example/ü?q=%FC&r#ü')
})

test('urlHost is lower case and without the port that the scheme has anyway', () => {
  const cases: [string, string | undefined][] = [
    ['https://Track.Example.com', 'track.example.com'],
    ['https://t.example:443/x', 't.example'],
    ['http://t.example:80?x', 't.example'],
    ['http://t.example:443', 't.example:443'],
    ['http://a@b@t.example:8888/', 't.example:8888'],
    ['http://t.example\\@x', 't.example'],
    ['http://[::1]:8888/x', '[::1]:8888'],
    ['ftp://x', undefined],
    ['http:///x', undefined],
  ]
  for (const [url, host] of cases) assert.equal(urlHost(url), host, url)
})

test('urlHost takes a name with a dot at its end for the same name', () => {
  assert.equal(urlHost('https://track.example.com./x'), 'track.example.com')
  assert.equal(urlHost('https://Track.Example.com.:443/x'), 'track.example.com')
  assert.equal(urlHost('https://track.example.com.:8443'), 'track.example.com:8443')
  assert.equal(urlHost('https://./'), undefined)
  assert.equal(urlHost('https://.:80/'), undefined)
})

test('judgeUrl judges plain URLs as it judges all others', () => {
  const piece = fc.oneof(
    fc.constantFrom('http://', 'https://', 'HTTP://', 'http:/', 'track.example.com', 'Track.Example.com', 'e.example'),
    fc.constantFrom(
      '.',
      ':80',
      ':8080',
      '@',
      '/',
      '?',
      '#',
      '%2F',
      '%7B%7B',
      '%3C%25',
      '%%A%%',
      '&amp;',
      '&b=',
      '&#38;',
    ),
    fc.constantFrom('{{', '*|', '[', '<', '$', '\\', '_', '-', '\t', '\u00C3\u00BC', 'amp;', 'x'.repeat(1990)),
    fc.string({ maxLength: 6 }),
  )
  const url = fc
    .tuple(fc.constantFrom('http://', 'https://', ''), fc.array(piece, { maxLength: 8 }))
    .map(([scheme, rest]) => [scheme, ...rest].join(''))
  const hosts = fc.constantFrom(undefined, 'track.example.com', 'track.example.com:8080', 'e.example')
  fc.assert(
    fc.property(url, hosts, (written, trackingHost) => {
      const context = { ...plain, trackingHost }
      // White space around it is removed, but makes it none of the plain ones.
      assert.deepEqual(judgeUrl(written, context), judgeUrl(` ${written}`, context))
    }),
    { numRuns: 3000 },
  )
})
