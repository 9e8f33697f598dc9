/**
 * Messages made to stop a parser: delivered, and byte for byte where they pass a limit. The long form (SOAK=1) also
 * measures how long each holds up the loop and says so.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '../../lib/message/smtp/limits.ts'
import { MessageWrapper } from '../../lib/message/tracking/wrap-message.ts'
import { sized } from '../support/soak.ts'
import { trackingPlan } from '../support/tracking-plan.ts'
import { wrapped } from '../support/wrapped.ts'

const html = (body: string): string => `Content-Type: text/html\r\n\r\n${body}\r\n`
const stamp = /^X-Sp-Message-Id: [^\r]+\r\nX-Sendpost-Message-UUID: [^\r]+\r\n/

/** Name → message, and the reason it is left alone for; none where it is wrapped after all. */
const bombs: Record<string, [string, string?]> = {
  '300,000 nested div': [html(`${'<div>'.repeat(300_000)}<a href="http://e.example">x</a>`)],
  '100,000 MIME parts': [
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(100_000)}--b--\r\n`,
    'too-many-parts',
  ],
  '100,000 recipients in To': [
    `To: ${'a@b.example,\r\n '.repeat(100_000)}c@d.example\r\n\r\nbody\r\n`,
    'header-too-large',
  ],
  '200,000 header fields': [`${'X: y\r\n'.repeat(200_000)}\r\nbody\r\n`, 'header-too-large'],
  'a folded field of 10 MB': [`X: y\r\n${` ${'z'.repeat(998)}\r\n`.repeat(10_000)}\r\nbody\r\n`, 'header-too-large'],
  'HTML in one line of 50 MB': [html('x'.repeat(50_000_000)), 'body-too-large'],
  '100,000 links': [html('<a href=http://e.example>'.repeat(80_000)), 'too-many-links'],
  'links of 350 characters': [
    html(
      Array.from({ length: 4999 }, (_, index) => `<a href="http://e.example/${index}${'0a9f'.repeat(82)}">`).join(''),
    ),
    'too-many-url-bytes',
  ],
  'comments that nothing ends': [html('<!--'.repeat(500_000))],
  'comments that end otherwise': [html('<!--a--!>'.repeat(220_000))],
  'empty comments': [html('<!---->'.repeat(280_000))],
  'CDATA that nothing ends': [html('<![CDATA['.repeat(220_000))],
  'quotes that nothing ends': [html('<a href="'.repeat(220_000))],
  'tags that nothing ends': [html('<a '.repeat(600_000))],
  'raw text that nothing ends': [html(`<script>${'</'.repeat(900_000)}`)],
  'end tags within raw text': [html(`<script>${'</scrip>'.repeat(250_000)}`)],
  'two megabytes to be encoded for one line': [
    html(`${'x'.repeat(950)}<a href="http://e.example">\r\n${`${'\u00C3\u00BC'.repeat(480)}\r\n`.repeat(1900)}`),
    'line-too-long',
  ],
  'character references': [html(`<a href="http://e.example/${'&amp'.repeat(500_000)}">`)],
  'one attribute name': [html(`<a ${'x'.repeat(2_000_000)}>`)],
  'as many attributes': [html(`<a ${'x '.repeat(900_000)}>`)],
  'tags of many attributes': [html(`<a${' b'.repeat(200)}>`.repeat(4800))],
  'lines that begin like delimiters': [
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n${'--\r\n'.repeat(400_000)}\r\n--b--\r\n`,
  ],
  'lines that begin like delimiters, in an image': [
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n${'--bc\r\n'.repeat(340_000)}\r\n--b--\r\n`,
  ],
  'spans, and the name of the tracking host': [html(`<body>${'<span>'.repeat(300_000)}track.example.com`)],
  'preheaders without end': [html(`<body>${'<div style="display:none">'.repeat(70_000)}`)],
  'quoted-printable escapes': [
    `Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${'=3D'.repeat(600_000)}\r\n`,
  ],
  'quoted-printable padding': [
    `Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${'x\t \r\n'.repeat(350_000)}\r\n`,
  ],
  'semicolons in a Content-Type': [`Content-Type: multipart/mixed${'; boundary'.repeat(20_000)}\r\n\r\nbody\r\n`],
  'spaces in a Content-Type': [
    `Content-Type: text/html;${' '.repeat(200_000)}x${' '.repeat(50_000)}=y\r\n\r\nbody\r\n`,
  ],
  'parentheses in a Content-Type': [`Content-Type: ${'('.repeat(200_000)}\r\n\r\nbody\r\n`],
  'text of URLs that end in brackets': [
    `Content-Type: text/plain\r\n\r\n${`http://x${')'.repeat(8000)} `.repeat(250)}\r\n`,
  ],
  'text of URLs and brackets': [
    `Content-Type: text/plain\r\n\r\n${'http://e.example/'.repeat(3)}${')'.repeat(1_900_000)}\r\n`,
  ],
}

for (const levels of [1000, 10_000]) {
  const heads: string[] = []
  const ends: string[] = []
  for (let level = 0; level < levels; level++) {
    heads.push(`Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}\r\n`)
    ends.unshift(`--b${level}--\r\n`)
  }
  bombs[`${levels.toLocaleString('en')} nested multiparts`] = [
    `${heads.join('')}Content-Type: text/plain\r\n\r\nx\r\n${ends.join('')}`,
    'too-deep',
  ]
}

const plan = { trackInitialOpen: true, trackText: true, honeypotLink: true }
/** A message up to this is wrapped as a whole when its last byte is there; a larger one while it comes in. */
const { collectBytesMax } = defaultLimits
/** Longest time that a message may hold up the loop. */
const blockMsMax = 100

/** The longest time for which the loop stands still, in milliseconds of CPU. */
function longestBlock(bytes: Buffer): number {
  const wrapper = new MessageWrapper(() => trackingPlan(plan))
  let longest = 0
  const step = bytes.length > collectBytesMax ? 65_536 : bytes.length
  for (let at = 0; at < bytes.length; at += step) {
    const before = process.cpuUsage()
    wrapper.write(bytes.subarray(at, at + step))
    if (at + step >= bytes.length) wrapper.end()
    const { user, system } = process.cpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
  }
  return longest
}

for (const [name, [message, reason]] of Object.entries(bombs)) {
  test(`a bomb is delivered: ${name}`, t => {
    const bytes = Buffer.from(message, 'latin1')
    const cuts = Array.from({ length: Math.floor(bytes.length / 65_536) }, (_, index) => (index + 1) * 65_536)
    const { bytes: out, text, report } = wrapped(bytes, { cuts, plan })
    assert.equal(report.failure, undefined)
    if (sized(0, 1) > 0) {
      const blockMs = Math.min(...Array.from({ length: 5 }, () => longestBlock(bytes)))
      t.diagnostic(`${name}: ${blockMs.toFixed(0)} ms`)
      assert.ok(blockMs <= blockMsMax, `${blockMs} ms`)
    }
    if (reason !== undefined) {
      assert.deepEqual(Object.keys(report.skipped), [reason])
      assert.ok(out.subarray(-bytes.length).equals(bytes))
      return
    }
    const rest = text.replace(stamp, '').replaceAll(/<span(?:\r\n)?><img [^>]+><\/span>(?:\r\n(?!--))?/g, '')
    if (report.links === 0 && !message.includes('quoted-printable')) assert.ok(rest === message)
    assert.ok(out.length >= bytes.length)
  })
}
