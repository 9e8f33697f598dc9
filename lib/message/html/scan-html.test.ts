import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MarkupNames, scanHtml } from './scan-html.ts'

const hrefs = (html: string): (string | undefined)[] =>
  scanHtml(html).links.map(link => link.attributes.find(({ name }) => name === 'href')?.value)

test('scanHtml finds href in any quoting and order', () => {
  const cases: [string, (string | undefined)[]][] = [
    ['<a href="http://a/?x=1&amp;y=2">t</a>', ['http://a/?x=1&amp;y=2']],
    ["<A\tTITLE=x HREF = 'http://a'>", ['http://a']],
    ['<a href=http://a/b/>', ['http://a/b/']],
    ['<area shape=rect href="http://a">', ['http://a']],
    ['<a\r\n  href\r\n=\r\n"http://a\r\n/b">', ['http://a\r\n/b']],
    ['<a/href="x"/title="y">', ['x']],
    ['<a title="y"href="x">', ['x']],
    ['<a title="a > b" href="x">', ['x']],
    ['<a title=\'<a href="n">\' href=x>', ['x']],
    ['<a>', [undefined]],
    ['<a href>', ['']],
    ['<a href=>', ['']],
    ['<a href=a href=b>', ['a']],
    ['<a =href=x>', [undefined]],
    ['<a data-href="n" xhref=n>', [undefined]],
    ['<abbr href=n><a:b href=n><a-b href=n><link href=n><base href=n>', []],
    ['< a href=n>', []],
    ['</a href=n>', []],
    ['<a href="x', []],
    ['<a href="x"', []],
  ]
  for (const [html, expected] of cases) assert.deepEqual(hrefs(html), expected, html)
})

test('scanHtml looks into nothing that is not shown', () => {
  const link = '<a href="n">n</a>'
  const hidden = [
    `<!-- ${link} -->`,
    `<!--[if mso]>${link}<v:rect href="n"/><![endif]-->`,
    `<!--[if !mso]> ${link} <![endif]-->`,
    `<script>document.write('${link}')</script>`,
    `<SCRIPT>"</scriptx>${link}"</script >`,
    `<style>/* ${link} */</style>`,
    `<title>${link}</title>`,
    `<textarea>${link}</textarea>`,
    `<xmp>${link}</xmp>`,
    `<iframe>${link}</iframe>`,
    `<noframes>${link}</noframes>`,
    `<![CDATA[ ${link} ]]>`,
    `<?php ${link.replace('<', '').replaceAll('>', '')} ?>`,
    `<img alt="${link.replaceAll('"', "'")}">`,
  ]
  for (const html of hidden) assert.deepEqual(hrefs(`${html}<a href="y">`), ['y'], html)
})

test('scanHtml looks into what is shown', () => {
  const shown = [
    '<!--[if !mso]><!--><a href="y">x</a><!--<![endif]-->',
    '<![if !mso]><a href="y">x</a><![endif]>',
    '<!--><a href="y">x</a>',
    '<!---><a href="y">x</a>',
    '<!-- x --!><a href="y">x</a>',
    '<?-- x><a href="y">x</a>',
    '</-- x><a href="y">x</a>',
    '<noscript><a href="y">x</a></noscript>',
    '</ bogus><a href="y">x</a>',
    '<3 <a href="y">x</a>',
    '<p title=it\'s><a href="y">x</a>',
  ]
  for (const html of shown) assert.deepEqual(hrefs(html), ['y'], html)
})

test('scanHtml marks tags with a quote where none belongs', () => {
  const ambiguous = (html: string): boolean[] => scanHtml(html).links.map(link => link.ambiguous)
  assert.deepEqual(ambiguous('<a href="http://a>text</a><a href="http://b">'), [true])
  assert.deepEqual(ambiguous(`<a href=http://a/it's>`), [true])
  assert.deepEqual(ambiguous(`<a href="x"" title=y>`), [true])
  assert.deepEqual(ambiguous(`<a href="it's" title='a "b"'>`), [false])
})

test('scanHtml finds the places for pixels', () => {
  const places = (html: string): [number | undefined, number, number | undefined, number] => {
    const { bodyStart, contentStart, bodyEnd, end } = scanHtml(html)
    return [bodyStart, contentStart, bodyEnd, end]
  }
  const document = '<!doctype html><html><head><title>t</title></head> <body class="a>b"> x </body></html>'
  assert.deepEqual(places(document), [
    document.indexOf(' x'),
    document.indexOf('<body'),
    document.indexOf('</body'),
    document.length,
  ])
  assert.deepEqual(places('<p>x'), [undefined, 0, undefined, 4])
  assert.deepEqual(places('<meta charset=x><style>p{}</style> text'), [undefined, 35, undefined, 39])
  assert.deepEqual(places('<body>1</body><!-- </body> --><body>2</BODY >'), [6, 0, 37, 45])
  assert.deepEqual(places('\u00EF\u00BB\u00BF<!doctype html> <p>x'), [undefined, 19, undefined, 23])
  assert.deepEqual(places('<frameset><frame src=x></frameset>'), [undefined, 34, undefined, 34])
  // What is never closed swallows whatever would be put behind it.
  assert.deepEqual(places('text<a href="x'), [undefined, 0, undefined, 4])
  assert.deepEqual(places('text<!-- x'), [undefined, 0, undefined, 4])
  assert.deepEqual(places('text<style>x'), [undefined, 0, undefined, 4])
  assert.deepEqual(places('text<plaintext>x</body>'), [undefined, 0, undefined, 4])
  assert.deepEqual(places(''), [undefined, 0, undefined, 0])
})

test('scanHtml keeps the first of each attribute that is asked for, and no other', () => {
  const names = new MarkupNames(['href', 'data-x'])
  const html = `<a ${'b '.repeat(100)}HREF=1 href=2 data-x=3 data-y=4>`
  const [link] = scanHtml(html, 1, undefined, names).links
  assert.deepEqual(
    link?.attributes.map(({ name, value }) => [name, value]),
    [
      ['href', '1'],
      ['data-x', '3'],
    ],
  )
  const ambiguous = (count: number): boolean | undefined => scanHtml(`<a ${'b '.repeat(count)}>`).links[0]?.ambiguous
  assert.deepEqual([ambiguous(256), ambiguous(257)], [false, true])
})

test('scanHtml stops collecting links at the limit', () => {
  const scan = scanHtml('<a href=x>'.repeat(11), 10)
  assert.equal(scan.links.length, 10)
  assert.ok(scan.tooManyLinks)
  assert.ok(!scanHtml('<a href=x>'.repeat(10), 10).tooManyLinks)
})

test('scanHtml searches a document a few times at most, whatever it is made of', t => {
  const soups = [
    '<!--a--!>',
    '<!--a-->',
    '<!--',
    '<!-->',
    '<![CDATA[',
    '<![CDATA[x]]>',
    '<?x>',
    '</ >',
    '<a b="x">',
    '<a b=\'x">',
    '<script></script>',
    '<script></',
    '<!--a--!><![CDATA[x]]>',
  ]
  const search = t.mock.method(String.prototype, 'indexOf')
  for (const soup of soups) {
    const html = soup.repeat(300)
    search.mock.resetCalls()
    scanHtml(html)
    let searched = 0
    for (const { this: text, arguments: args, result } of search.mock.calls)
      searched += (result === -1 ? String(text).length : (result ?? 0)) - (args[1] ?? 0)
    assert.ok(searched < 10 * html.length, `${soup}: ${searched} of ${html.length}`)
  }
})
