import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import type { TrackingSettings } from '../message/tracking/tracking-settings.ts'
import { explainMessage } from './explain-message.ts'
import { withLineEnds } from './wrapping.ts'

const settings = {
  trackOpen: true,
  trackInitialOpen: false,
  trackClick: true,
  trackText: true,
  dkimSigned: 'pass',
  listUnsubscribe: 'off',
  trackingUrl: 'https://track.example.com',
} as TrackingSettings

function html(body: string, ...fields: readonly string[]): Buffer {
  return Buffer.from(['Content-Type: text/html; charset=utf-8', ...fields, '', body, ''].join('\r\n'))
}

/** URL, then the action of a wrapped link or the reason of another. */
function outcomes(message: Buffer, given: Partial<TrackingSettings> = {}): string[] {
  return explainMessage(message, { ...settings, ...given }).links.map(
    ({ url, action, reason }) => `${url} ${action ?? reason}`,
  )
}

const cases: Readonly<Record<string, readonly [message: Buffer, expected: readonly string[]]>> = {
  'a link with entities': [
    html('<a href="https://e.example/?a=1&amp;b=2">x</a>'),
    ['https://e.example/?a=1&b=2 click'],
  ],
  'an area': [html('<map><area href=https://e.example/ alt=Map></map>'), ['https://e.example/ click']],
  'a mark for unsubscribing': [
    html('<a href="https://e.example/" data-msys-unsubscribe="1">x</a>'),
    ['https://e.example/ link_unsubscribe'],
  ],
  'an opt-out': [html('<a href="https://e.example/" clicktracking=off>x</a>'), ['https://e.example/ opt-out']],
  'a template': [html('<a href="https://{{host}}/">x</a>'), ['https://{{host}}/ template']],
  'a link to the tracker': [
    html('<a href="https://track.example.com/1x">x</a>'),
    ['https://track.example.com/1x tracking-host'],
  ],
  'a link in a conditional comment': [
    html('<!--[if mso]><a href="https://e.example/">x</a><![endif]-->'),
    ['https://e.example/ comment'],
  ],
  'a header that says no': [
    html('<a href="https://e.example/">x</a>', 'X-Track: none'),
    ['https://e.example/ opt-out-header'],
  ],
  'a signed message': [
    html('<a href="https://e.example/">x</a>', 'DKIM-Signature: v=1'),
    ['https://e.example/ dkim-signed'],
  ],
  'an unknown transfer encoding': [html('<a href="https://e.example/">x</a>', 'Content-Transfer-Encoding: x-uue'), []],
  'plain text': [
    Buffer.from('Subject: x\r\n\r\nSee https://e.example/a, or https://e.example/b[[data-msys-clicktrack="0"]].\r\n'),
    ['https://e.example/a click', 'https://e.example/b opt-out'],
  ],
  'a sealed part beside another': [
    Buffer.from(
      [
        'Content-Type: multipart/mixed; boundary=b',
        '',
        '--b',
        'Content-Type: text/html',
        '',
        '<a href="https://e.example/1">x</a>',
        '--b',
        'Content-Type: multipart/signed; boundary=c',
        '',
        '--c',
        'Content-Type: text/html',
        '',
        '<a href="https://e.example/2">x</a>',
        '--c--',
        '--b',
        'Content-Type: text/html',
        'Content-Disposition: attachment',
        '',
        '<a href="https://e.example/3">x</a>',
        '--b--',
        '',
      ].join('\r\n'),
    ),
    ['https://e.example/1 click', 'https://e.example/2 sealed', 'https://e.example/3 attachment'],
  ],
}
for (const [what, [message, expected]] of Object.entries(cases))
  test(`explainMessage explains ${what}`, () => assert.deepEqual(outcomes(message), expected))

test('explainMessage shows what a reader sees of a link', () => {
  const { links } = explainMessage(
    html(
      '<a href="https://e.example/1">grö&szlig;er <b>now</b></a><a href="https://e.example/2"><img src=x alt=Logo></a>' +
        '<a href="https://e.example/3" data-msys-linkname="main"></a>',
    ),
    settings,
  )
  assert.deepEqual(
    links.map(({ part, type, element, text, linkName }) => [part, type, element, text, linkName]),
    [
      ['0', 'text/html', 'a', 'größer now', undefined],
      ['0', 'text/html', 'a', '[image: Logo]', undefined],
      ['0', 'text/html', 'a', '', 'main'],
    ],
  )
})

test('explainMessage counts as wrapped what the wrapper wrapped, in every message of the corpus', t => {
  const corpus = resolve(import.meta.dirname, '../../../shared/corpora/mime')
  const files = globSync('**/*.eml', { cwd: corpus })
  if (files.length === 0) {
    t.skip('the corpus is not at hand')
    return
  }
  let wrapped = 0
  for (const file of files) {
    const { links, report } = explainMessage(withLineEnds(readFileSync(resolve(corpus, file))), {
      ...settings,
      dkimSigned: 'wrap',
    })
    const count = links.filter(link => link.wrapped).length
    assert.equal(count, report.links, file)
    assert.ok(
      links.every(({ reason }) => reason !== 'unknown'),
      file,
    )
    wrapped += count
  }
  assert.ok(wrapped > 50)
})

test('explainMessage is done with documents that parsers stall on, and shows their links', { timeout: 30_000 }, () => {
  const link = '<a href="https://e.example/">x</a>'
  const documents = {
    'of many elements': ['<p>x</p>\n'.repeat(150_000) + link, 'x'],
    'of elements within elements': ['<div>'.repeat(100_000) + link, ''],
    'of a link with many levels': [`<a href="https://e.example/">${'<i>'.repeat(4_000)}x`, 'x'],
    'larger than what is rewritten': [`<p>${'x'.repeat(2 << 20)}</p>${link}`, ''],
  } as const
  for (const [what, [document, text]] of Object.entries(documents)) {
    const { links } = explainMessage(html(document), settings)
    assert.deepEqual(
      links.map(each => [each.url, each.text]),
      [['https://e.example/', text]],
      what,
    )
  }
})
