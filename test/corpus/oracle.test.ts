/** Other people's parsers see the same links and the same structure. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { load } from 'cheerio'
import { simpleParser } from 'mailparser'
import { scanHtml } from '../../lib/message/html/scan-html.ts'
import { wrapped } from '../support/wrapped.ts'
import { corpora } from './judge.ts'

const skip = existsSync(corpora) ? false : 'no corpus beside the repository'

/** Documents of our own, each with something that parsers stumble over. */
const documents = [
  '<a href="http://e.example/?a=1&amp;b=2">x</a>',
  "<A HREF='http://e.example/'><b>x</b></A>",
  '<a href=http://e.example/x>y</a> <a\n href = "http://e.example/\nz">',
  '<area href="http://e.example/" shape="rect"><a name=x><a>',
  '<!-- <a href="n"> --><a href="y">x</a><!--[if mso]><a href="n"></a><![endif]-->',
  '<!--[if !mso]><!--><a href="y">x</a><!--<![endif]-->',
  '<script>"<a href=n>"</script><style>a{}</style><title><a href=n></title><textarea><a href=n></textarea><a href=y>',
  '<p title="<a href=n>"><a title=">" href=y>',
  '<a href="1" href="2" HREF="3">',
  '<table><a href="y"><tr><td><a href="z"></table>',
  '<a href>x<a href="">y<a href=>z',
  '<div><a href="x<y">z</a></div>',
  '<svg><a href="y"/></svg><a/href="z"/>',
  '<3 <a href="y"> </a <a href="z">',
]

/** Start and href of each a and area, by cheerio with htmlparser2 and source places. */
function byCheerio(html: string): [number, string | undefined][] {
  const document = load(html, { xml: { xmlMode: false, decodeEntities: false, withStartIndices: true } })
  return document('a, area')
    .toArray()
    .map((element): [number, string | undefined] => [element.startIndex ?? -1, element.attribs['href']])
    .toSorted((a, b) => a[0] - b[0])
}

function byScan(html: string): [number, string | undefined][] {
  return scanHtml(html).links.map(({ start, attributes }) => [
    start,
    attributes.find(({ name }) => name === 'href')?.value,
  ])
}

test('scanHtml finds the links that cheerio finds in documents of our own', () => {
  for (const html of documents) assert.deepEqual(byScan(html), byCheerio(html), html)
})

test('scanHtml finds the links that cheerio finds in the corpus', { skip }, () => {
  let links = 0
  for (const file of globSync('html/**/*.html', { cwd: corpora })) {
    const html = readFileSync(join(corpora, file), 'latin1')
    const found = byScan(html)
    assert.deepEqual(found, byCheerio(html), file)
    links += found.length
  }
  assert.ok(links > 500)
})

test('mailparser reads the same mail after wrapping as before', { skip }, async () => {
  const stamps = new Set(['x-sp-message-id', 'x-sendpost-message-uuid'])
  for (const file of globSync('mime/**/*.eml', { cwd: corpora })) {
    const before = Buffer.from(readFileSync(join(corpora, file), 'latin1').replaceAll(/\r\n|\n|\r/g, '\r\n'), 'latin1')
    const after = wrapped(before, { plan: { dkimSigned: 'wrap' } }).bytes
    const [a, b] = await Promise.all([before, after].map(bytes => simpleParser(bytes)))
    assert.ok(a && b)
    const headers = (mail: typeof a): string[] =>
      mail.headerLines.filter(({ key }) => !stamps.has(key)).map(({ line }) => line)
    assert.deepEqual(headers(b), headers(a), file)
    assert.equal(b.text === undefined, a.text === undefined, file)
    assert.deepEqual(
      b.attachments.map(({ checksum, contentType, filename }) => ({ checksum, contentType, filename })),
      a.attachments.map(({ checksum, contentType, filename }) => ({ checksum, contentType, filename })),
      file,
    )
    assert.equal(typeof b.html, typeof a.html, file)
  }
})
