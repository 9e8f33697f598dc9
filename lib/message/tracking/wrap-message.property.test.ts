/** Whatever a message is made of and however it is cut: the same bytes come out, and none is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { wrapped } from '../../../test/support/wrapped.ts'

const lines = [
  '',
  '',
  '--b',
  '--b--',
  '--b2',
  '--b2--',
  '--b ',
  '--b--\t',
  '--bx',
  'Content-Type: text/html',
  'Content-Type: text/html; charset=utf-8',
  'content-type: TEXT/HTML; charset=iso-2022-jp',
  'Content-Type: text/plain',
  'Content-Type: text/x-amp-html',
  'Content-Type: multipart/mixed; boundary=b',
  'Content-Type: multipart/alternative; boundary="b2"',
  'Content-Type: multipart/related;',
  ' boundary=b--',
  'Content-Type: multipart/signed; boundary=b',
  'Content-Type: message/rfc822',
  'Content-Disposition: attachment',
  'Content-Transfer-Encoding: 8bit',
  'DKIM-Signature: v=1',
  'Subject: x',
  ' folded',
  'no header',
  '<html><body>',
  '<a href="http://e.example/1">x</a>',
  "text <A HREF='http://e.example/2'> and <area href=http://e.example/3>",
  '<a title="x',
  '">x</a>',
  'http://e.example/6, <http://e.example/7>',
  '<!-- <a href="http://e.example/8"> -->',
  '<!--',
  '-->',
  '<style>',
  '</style>',
  '<div><p>',
  '</body></html>',
  '"',
  '\u00C3\u00BC',
  '\r',
  'x'.repeat(700),
]
const beginnings = [
  'Subject: x',
  'Content-Type: text/html\r\n',
  'Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>',
  'Content-Type: multipart/mixed; boundary=b\r\n',
  'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n',
  'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\nContent-Type: text/html\r\n',
]
lines.push(
  '--b\r\nContent-Type: text/html\r\n\r\n<p><a href="http://e.example/9">x</a>',
  '--b2\r\nContent-Type: text/plain\r\n\r\nhttp://e.example/10',
  '--b\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\nContent-Type: text/html\r\n\r\n<body>',
  '--b\r\nContent-Type: multipart/signed; boundary=b2\r\n\r\n--b2\r\nContent-Type: text/html\r\n\r\n<body>',
)
const line = fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...lines) }, fc.string({ maxLength: 8 }))
const message = fc
  .tuple(
    fc.constantFrom('', ...beginnings),
    fc.array(line, { minLength: 1, maxLength: 30 }),
    fc.constantFrom('', '\r\n'),
  )
  .map(([beginning, rows, end]) => Buffer.from((beginning && `${beginning}\r\n`) + rows.join('\r\n') + end, 'latin1'))
const switches = fc.record({
  trackOpen: fc.boolean(),
  trackInitialOpen: fc.boolean(),
  trackClick: fc.boolean(),
  trackText: fc.boolean(),
  dkimSigned: fc.constantFrom('pass' as const, 'wrap' as const),
})
const limits = fc.constantFrom(
  {},
  { bodyBytesMax: 100 },
  { headerBytesMax: 60 },
  { partsMax: 2, linksMax: 2 },
  { depthMax: 1 },
)

const stamp = /X-Sp-Message-Id: [^\r]+\r\nX-Sendpost-Message-UUID: [^\r]+\r\n/
const pixel =
  /<span(?:\r\n)?>?<(?:img|amp-pixel) src="https:\/\/track\.example\.com\/[^>]+>(?:<\/amp-pixel>)?<\/span>(?:\r\n(?!--))?/g
const target = /https:\/\/track\.example\.com\/([\w-]+)/g

/** Takes out what the wrapper put in, where no body was encoded anew. */
function unwrapped(text: string): string {
  return text
    .replace(stamp, '')
    .replaceAll(pixel, '')
    .replaceAll(
      target,
      (_, token: string) => (JSON.parse(Buffer.from(token, 'base64url').toString()) as { url: string }).url,
    )
}

test('any message in any chunks comes out the same', () => {
  fc.assert(
    fc.property(message, switches, limits, fc.array(fc.nat()), (bytes, plan, limits, places) => {
      const cuts = places.map(place => place % (bytes.length + 1)).toSorted((a, b) => a - b)
      const whole = wrapped(bytes, { plan, limits })
      const cut = wrapped(bytes, { plan, limits, cuts })
      assert.equal(cut.text, whole.text)
      assert.deepEqual(cut.report, whole.report)
      const single = wrapped(bytes, { plan, limits, cuts: [...bytes.keys()] })
      assert.equal(single.text, whole.text)
    }),
    { numRuns: 800 },
  )
})

test('any message is the one that came in once links and pixels are taken out', () => {
  fc.assert(
    fc.property(message, switches, limits, (bytes, plan, limits) => {
      const { text, report } = wrapped(bytes, { plan, limits })
      assert.equal(report.failure, undefined)
      if (text.includes('quoted-printable')) return
      assert.equal(unwrapped(text), bytes.toString('latin1'))
    }),
    { numRuns: 10_000 },
  )
})

test('any message passes as it came where the wrapper fails', () => {
  fc.assert(
    fc.property(message, fc.nat(3), fc.array(fc.nat()), (bytes, working, places) => {
      const cuts = places.map(place => place % (bytes.length + 1)).toSorted((a, b) => a - b)
      let calls = 0
      const linkFor = (link: object): string => {
        if (calls++ === working) throw new Error('broken')
        return `https://track.example.com/${Buffer.from(JSON.stringify(link)).toString('base64url')}`
      }
      const { text, report } = wrapped(bytes, { plan: { linkFor, trackText: true, dkimSigned: 'wrap' }, cuts })
      if (text.includes('quoted-printable')) return
      assert.equal(report.failure, calls > working ? 'broken' : undefined)
      assert.equal(unwrapped(text), bytes.toString('latin1'))
    }),
    { numRuns: 800 },
  )
})
