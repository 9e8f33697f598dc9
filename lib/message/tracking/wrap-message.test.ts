import assert from 'node:assert/strict'
import { test } from 'node:test'
import { trackedLinks, trackingPlan } from '../../../test/support/tracking-plan.ts'
import { wrapped } from '../../../test/support/wrapped.ts'
import { MessageWrapper } from './wrap-message.ts'

const stamp =
  'X-Sp-Message-Id: 0000123456789abcdef0\r\nX-Sendpost-Message-UUID: 3f2504e0-4f89-41d3-9a0c-0305e82c3301\r\n'
const pixel =
  /<span><img src="https:\/\/track\.example\.com\/[\w-]+" alt="" width="1" height="1" border="0" style="[^"]*"><\/span>/
const crlf = (text: string): string => text.replaceAll('\n', '\r\n')

const html = (fields: string, body: string): string => `From: a@b.example\n${fields}\n${body}`
const page = '<html><body><a href="http://e.example/?a=1&amp;b=2">x</a></body></html>\n'

/** The message below the stamped headers. */
function below(text: string): string {
  assert.ok(text.startsWith(stamp), text.slice(0, 200))
  return text.slice(stamp.length)
}

test('tracking off puts the stamped headers on top and changes nothing else', () => {
  const message = crlf(html('Content-Type: text/html\n', page))
  const { text, report } = wrapped(Buffer.from(message), { plan: { trackOpen: false, trackClick: false } })
  assert.equal(text, stamp + message)
  assert.deepEqual({ ...report }, { links: 0, pixels: 0, skipped: {}, failure: undefined })
})

test('ids that the generator set are kept, and unusable ones get a usable one on top', () => {
  const plan = { trackOpen: false, trackClick: false }
  const set = 'x-sp-message-id: mine-1\nX-SENDPOST-MESSAGE-UUID: 3F2504E0-4F89-41D3-9A0C-0305E82C3302\n\nbody\n'
  assert.equal(wrapped(set, { plan }).text, crlf(set))
  const unusable = 'X-Sp-Message-Id: two words\nX-Sendpost-Message-UUID: none\n\nbody\n'
  assert.equal(wrapped(unusable, { plan }).text, stamp + crlf(unusable))
})

test('stamped headers do not go before a line that is none', () => {
  const plan = { trackOpen: false, trackClick: false }
  const mbox = 'From a@b Thu Jan 1\nFrom: a@b\n\nbody\n'
  assert.equal(wrapped(mbox, { plan }).text, crlf('From a@b Thu Jan 1\n') + stamp + crlf('From: a@b\n\nbody\n'))
  const folded = ' folded\n on\nFrom: a@b\n\nbody\n'
  assert.equal(wrapped(folded, { plan }).text, crlf(' folded\n on\n') + stamp + crlf('From: a@b\n\nbody\n'))
  // What begins with the empty line has no header, and gets none.
  assert.equal(wrapped('\nbody\n', { plan }).text, crlf('\nbody\n'))
  assert.equal(wrapped('', { plan }).text, '')
})

test('an HTML message changes in its links and by its pixel only', () => {
  const { text, report } = wrapped(html('Content-Type: text/html; charset=utf-8\n', page))
  const [click, open] = trackedLinks(text)
  assert.deepEqual(click, { action: 'click', url: 'http://e.example/?a=1&b=2' })
  assert.deepEqual(open, { action: 'open' })
  assert.match(below(text), new RegExp(`</a>${pixel.source}</body></html>\r\n$`))
  const unwrapped = below(text)
    .replace(pixel, '')
    .replace(/https:\/\/track\.example\.com\/[\w-]+/, 'http://e.example/?a=1&amp;b=2')
  assert.equal(unwrapped, crlf(html('Content-Type: text/html; charset=utf-8\n', page)))
  assert.equal(report.links, 1)
  assert.equal(report.pixels, 1)
})

test('only inline HTML parts change; the first one gets the pixels', () => {
  const part = (fields: string, body: string): string => `--=_b\n${fields}\n${body}\n`
  const message = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_b"

preamble http://e.example
--=_b ${''}
Content-Type: multipart/alternative; boundary="=_b2"

--=_b2
Content-Type: text/plain

http://e.example --=_b2
--=_b2
Content-Type: text/html
Content-Transfer-Encoding: Quoted-Printable

<body><a href=3D"http://e.example/?a=3D1">=C3=BC</a></body>
--=_b2--
epilogue <a href="http://e.example">
${part('Content-Type: text/html\nContent-Disposition: attachment; filename=x.html\n', page)}${part('Content-Type: message/rfc822\n', html('Content-Type: text/html\n', page))}${part('Content-Type: text/calendar\n', page)}${part('Content-Type: TEXT/HTML\nContent-Disposition: inline\n', page)}--=_b--
epilogue <a href="http://e.example">
`
  const { text, report } = wrapped(message)
  assert.equal(report.links, 2)
  assert.equal(report.pixels, 1)
  assert.deepEqual(report.skipped, { attachment: 1, sealed: 1 })
  const actions = trackedLinks(text.replaceAll('=\r\n', '')).map(({ action }) => action)
  assert.deepEqual(actions, ['click', 'open', 'click'])
  // Take out what was put in: all else is as it was.
  const unwrapped = below(text)
    .replace(/<span><img src=3D[^]*?<\/span>/, '')
    .replace(/https:\/\/track\.example\.com\/[\w=\r\n-]+/, 'http://e.example/?a=3D1')
    .replace(/https:\/\/track\.example\.com\/[\w-]+/, 'http://e.example/?a=1&amp;b=2')
  assert.equal(unwrapped.replaceAll('=\r\n', ''), crlf(message))
})

test('sealed messages pass untouched', () => {
  const types = [
    'multipart/signed; protocol="application/pgp-signature"; boundary=b',
    'multipart/encrypted; boundary=b',
    'multipart/report; report-type=delivery-status; boundary=b',
    'message/rfc822',
    'application/pkcs7-mime; smime-type=signed-data',
    'application/pgp-encrypted',
    'text/calendar',
  ]
  for (const type of types) {
    const message = crlf(`Content-Type: ${type}\n\n--b\nContent-Type: text/html\n\n${page}\n--b--\n`)
    assert.equal(wrapped(Buffer.from(message)).text, stamp + message, type)
  }
  const inner = crlf(
    `Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/signed; boundary=b\n\n--b\nContent-Type: text/html\n\n${page}\n--b--\n--o--\n`,
  )
  assert.equal(wrapped(Buffer.from(inner)).text, stamp + inner)
  const pgp = crlf(`Content-Type: text/html\n\n<pre>-----BEGIN PGP SIGNED MESSAGE-----\n${page}</pre>\n`)
  assert.equal(wrapped(Buffer.from(pgp)).text, stamp + pgp)
})

test('a signed message passes untouched unless told otherwise', () => {
  const message = crlf(html('DKIM-Signature: v=1\nX-Mailgun-Track-Opens: no\nContent-Type: text/html\n', page))
  const passed = wrapped(Buffer.from(message))
  assert.equal(passed.text, stamp + message)
  assert.deepEqual(passed.report.skipped, { 'dkim-signed': 1 })
  assert.equal(wrapped(Buffer.from(message), { plan: { dkimSigned: 'wrap' } }).report.links, 1)
})

test('opt-out headers stay where all tracking is switched off', () => {
  const message = crlf(html('X-Track: none\nX-Mailgun-Track: no\nContent-Type: text/html\n', page))
  const off = wrapped(Buffer.from(message), { plan: { trackOpen: false, trackClick: false } })
  assert.equal(off.text, stamp + message)
  for (const plan of [{ trackOpen: true }, { trackInitialOpen: true }, { trackClick: true }, { trackText: true }]) {
    const on = wrapped(Buffer.from(message), { plan: { trackOpen: false, trackClick: false, ...plan } })
    assert.equal(below(on.text), crlf(html('Content-Type: text/html\n', page)))
  }
})

test('opt-out headers switch off and are removed', () => {
  const { text } = wrapped(
    html('X-PM-TrackOpens: false\nX-Mailgun-Track-Clicks:\n no\nContent-Type: text/html\n', page),
  )
  assert.equal(below(text), crlf(html('Content-Type: text/html\n', page)))
  const first = wrapped(`X-Track: opens\nContent-Type: text/html\n\n${page}`)
  assert.match(below(first.text), pixel)
  assert.ok(below(first.text).startsWith('Content-Type'))
  assert.equal(first.report.links, 0)
})

test('a soft break that a delimiter follows stays the last of its part', () => {
  const fields = 'Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n'
  const message = `Content-Type: multipart/mixed; boundary=b\n\n--b\n${fields}\n<p>x</p>=\n--b--\n`
  const { text } = wrapped(message)
  assert.match(text.replaceAll('=\r\n', ''), /<p>x<\/p><span><img [^>]+><\/span>--b--\r\n$/)
  assert.match(text, /[^=]=\r\n--b--\r\n$/)
})

test('a part whose fields contradict each other stays as it is', () => {
  const conflicts = [
    'Content-Type: text/html\nContent-Type: text/html; charset=utf-16\n',
    'Content-Type: text/html\nContent-Type: multipart/mixed; boundary=b\n',
    'Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/mixed; boundary=B\n',
    'Content-Type: text/html\nContent-Disposition: inline\nContent-Disposition: attachment\n',
    'Content-Type: text/html\nContent-Transfer-Encoding: 7bit\ncontent-transfer-encoding: base64\n',
  ]
  for (const fields of conflicts) {
    const message = html(fields, `--b\n${html('Content-Type: text/html\n', page)}--b--\n`)
    const { text, report } = wrapped(message)
    assert.equal(below(text), crlf(message), fields)
    assert.deepEqual(report.skipped, { 'header-conflict': 1 })
  }
  const agreed =
    'Content-Type: text/html\nContent-type: TEXT/HTML;\nContent-Disposition: inline\nContent-Disposition: inline; x=y\n'
  assert.equal(wrapped(html(agreed, page)).report.links, 1)
})

test('a part that becomes quoted-printable says so once', () => {
  const long = `<p>${'x'.repeat(900)}<a href="http://e.example/">x</a></p>\n`
  const fields = 'Content-Transfer-Encoding: 7bit\nContent-Type: text/html\nContent-Transfer-Encoding:\n 8bit\nX: y\n'
  const { text } = wrapped(html(fields, long))
  const header = below(text.slice(0, text.indexOf('\r\n\r\n') + 2))
  assert.equal(
    header,
    crlf('From: a@b.example\nContent-Transfer-Encoding: quoted-printable\nContent-Type: text/html\nX: y\n'),
  )
})

test('transfer encodings are recognised in any case and kept', () => {
  const body = Buffer.from(crlf(page))
  const encoded = wrapped(
    html('Content-Type: text/html\nContent-Transfer-Encoding: BASE64\n', `${body.toString('base64')}\n`),
  )
  const decoded = Buffer.from(encoded.text.split('\r\n\r\n')[1] ?? '', 'base64').toString()
  assert.match(decoded, pixel)
  assert.ok(encoded.text.includes('Content-Transfer-Encoding: BASE64\r\n'))
  assert.deepEqual(trackedLinks(decoded)[0], { action: 'click', url: 'http://e.example/?a=1&b=2' })
})

test('a line that would pass 998 bytes makes its part quoted-printable', () => {
  const long = `<p>${'x'.repeat(900)}<a href="http://e.example/">x</a></p>\n`
  for (const fields of ['Content-Type: text/html\n', 'Content-Transfer-Encoding: 8bit\nContent-Type: text/html\n']) {
    const { text } = wrapped(html(fields, `${long}<body>=</body>\n`))
    assert.ok(text.includes('Content-Transfer-Encoding: quoted-printable\r\n'))
    assert.ok(!text.includes('8bit'))
    assert.ok(text.split('\r\n').every(line => line.length <= 998))
    const body = text.slice(text.indexOf('\r\n\r\n') + 4).replaceAll('=\r\n', '')
    assert.ok(body.includes('<body>=3D<span>'))
    assert.equal(trackedLinks(body)[0]?.url, 'http://e.example/')
  }
})

test('a large part stays as it is rather than change its encoding', () => {
  const line = `<p>${'x'.repeat(900)}<a href="http://e.example/">x</a></p>`
  const message = html('Content-Type: text/html; charset=utf-8\n', `${line}\n${'\u00FC'.repeat(400)}\n`)
  const bodyBytes = line.length + 2 + 800 + 2
  assert.equal(wrapped(message, { limits: { reencodedBytesMax: bodyBytes } }).report.links, 1)
  const { bytes, report } = wrapped(message, { limits: { reencodedBytesMax: bodyBytes - 1 } })
  assert.equal(below(bytes.toString()), crlf(message))
  assert.deepEqual({ ...report }, { links: 0, pixels: 0, skipped: { 'line-too-long': 1 }, failure: undefined })
})

test('a pixel alone never makes a line too long', () => {
  const { text } = wrapped(html('Content-Type: text/html\n', `<body>${'x'.repeat(950)}</body>\n`))
  assert.ok(!text.includes('quoted-printable'))
  assert.ok(text.split('\r\n').every(line => line.length <= 998))
  assert.match(text.replaceAll('\r\n', ''), /x<span><img src="https:/)
})

test('a pixel goes into a line that is too long already as it is', () => {
  const long = 'x'.repeat(1500)
  const at = (line: string, place: string): string => wrapped(html('Content-Type: text/html\n', line + place)).text
  for (const end of ['</body>\n', '\n</body>\n', '', '\n', '\n<!-- x']) {
    const text = at(`<body>${long}`, end)
    assert.ok(!text.includes('quoted-printable'), end)
    assert.match(text, /<span><img [^>]+><\/span>/)
    assert.equal(
      below(text).replace(pixel, '').replace(/\s*$/, ''),
      crlf(html('Content-Type: text/html\n', `<body>${long}${end}`)).replace(/\s*$/, ''),
    )
  }
  // At the limit it is not too long: the pixel is broken.
  const line = `<body>${'x'.repeat(998 - 13)}</body>`
  assert.match(at(line, '\n'), /<span\r\n><img/)
  assert.match(at(`<i>${line}`, '\n'), /<span><img/)
})

test('charsets whose markup is not ASCII pass through', () => {
  for (const charset of [
    'utf-16',
    'UTF-16LE',
    'utf-32be',
    'iso-2022-jp',
    'utf-7',
    'unicode-1-1-utf-7',
    'hz-gb-2312',
    'cp037',
  ]) {
    const message = crlf(html(`Content-Type: text/html; charset="${charset}"\n`, page))
    const { text, report } = wrapped(Buffer.from(message))
    assert.equal(text, stamp + message, charset)
    assert.deepEqual(report.skipped, { 'charset-not-ascii': 1 })
  }
  for (const charset of [
    'us-ascii',
    'iso-8859-15',
    'windows-1252',
    'koi8-r',
    'shift_jis',
    'gb18030',
    'big5',
    'euc-kr',
    'x-user',
  ]) {
    assert.equal(wrapped(html(`Content-Type: text/html; charset=${charset}\n`, page)).report.links, 1, charset)
  }
  for (const parameters of [
    'charset*=utf-16le',
    'charset*0=utf-; charset*1=16le',
    'name="a;charset=utf-8"; charset=utf-16le',
    'x=y',
  ]) {
    const header = Buffer.from(`Content-Type: text/html; ${parameters}\r\n\r\n`)
    const message = Buffer.concat([header, Buffer.from(page, 'utf16le')])
    const { text, report } = wrapped(message)
    assert.equal(text, stamp + message.toString('latin1'), parameters)
    assert.deepEqual(report.skipped, { 'charset-not-ascii': 1 })
  }
  const bom = Buffer.concat([Buffer.from('Content-Type: text/html\r\n\r\n'), Buffer.from(`\uFEFF${page}`, 'utf16le')])
  assert.equal(wrapped(bom).report.links, 0)
})

test('text is wrapped only when told so', () => {
  const message =
    'Content-Type: text/plain\n\nsee http://e.example/?a=1&b=2, (http://e.example/2)\n<http://e.example/3[[data-msys-clicktrack="0"]]>\n'
  assert.equal(below(wrapped(message).text), crlf(message))
  const { text, report } = wrapped(message, { plan: { trackText: true } })
  assert.deepEqual(
    trackedLinks(text).map(({ url }) => url),
    ['http://e.example/?a=1&b=2', 'http://e.example/2'],
  )
  assert.deepEqual(report.skipped, { 'opt-out': 1 })
  const noType = wrapped('From: a@b\n\nhttp://e.example\n', { plan: { trackText: true } })
  assert.equal(noType.report.links, 1)
})

test('a URL that flowed text may continue in the next line is left alone', () => {
  const text = 'http://e.example/1 \nrest http://e.example/2 x\n'
  const message = `Content-Type: text/plain; format=flowed; delsp=yes\n\n${text}`
  const { text: out, report } = wrapped(message, { plan: { trackText: true } })
  assert.deepEqual(report.skipped, { 'unclear-end': 1 })
  assert.equal(trackedLinks(out)[0]?.url, 'http://e.example/2')
  assert.equal(wrapped(message.replace('; delsp=yes', ''), { plan: { trackText: true } }).report.links, 2)
})

test('AMP gets amp-pixel and AMP actions, over https only', () => {
  const message = `Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/x-amp-html\n\n${page}\n--b\nContent-Type: text/html\n\n${page}\n--b--\n`
  const { text, report } = wrapped(message, { plan: { trackInitialOpen: true } })
  assert.deepEqual(
    trackedLinks(text).map(({ action }) => action),
    ['amp_initial_open', 'amp_click', 'amp_open', 'initial_open', 'click', 'open'],
  )
  assert.match(text, /<body><span><amp-pixel src="[^"]+" layout="nodisplay"><\/amp-pixel><\/span><a /)
  assert.equal(report.pixels, 4)
  const plain = wrapped(message, { plan: { trackingUrl: 'http://track.example.com' } })
  assert.deepEqual(plain.report.skipped, { 'amp-needs-https': 1 })
  assert.equal(plain.report.links, 1)
})

test('wrapping twice is wrapping once', () => {
  const once = wrapped(html('Content-Type: text/html\n', page), { plan: { trackOpen: false } })
  const twice = wrapped(once.bytes, { plan: { trackOpen: false } })
  assert.equal(twice.text, once.text)
  assert.deepEqual(twice.report.skipped, { 'tracking-host': 1 })
})

test('wrapping twice adds no second pixel', () => {
  const parts = `--b\nContent-Type: text/x-amp-html\n\n${page}\n--b\nContent-Type: text/html\n\n${page}\n--b\nContent-Type: text/html\n\n${page}\n--b--\n`
  const messages = [
    html('Content-Type: text/html\n', page),
    html('Content-Type: text/html\n', 'x\n'),
    html('Content-Type: text/html\n', `<body>${'x'.repeat(950)}</body>\n`),
    html('Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n', '<body>x</body>\n'),
    html('Content-Type: multipart/alternative; boundary=b\n', parts),
  ]
  for (const message of messages) {
    for (const plan of [{}, { trackInitialOpen: true }, { trackOpen: false, trackInitialOpen: true }]) {
      const once = wrapped(message, { plan })
      assert.ok(once.report.pixels > 0)
      const twice = wrapped(once.bytes, { plan })
      assert.equal(twice.text, once.text)
      assert.equal(twice.report.pixels, 0)
    }
  }
  // The other kind still comes.
  const open = wrapped(messages[0] ?? '')
  assert.equal(wrapped(open.bytes, { plan: { trackInitialOpen: true } }).report.pixels, 1)
  assert.equal(wrapped(html('Content-Type: text/html\n', '<img src="https://other.example/"><p>')).report.pixels, 1)
})

test('the initial pixel stands behind body and preheader', () => {
  const body = '<body bgcolor="#fff">\n<div style="display:none">Preview</div>\n<p>Hello</p></body>\n'
  const { text } = wrapped(html('Content-Type: text/html\n', body), { plan: { trackInitialOpen: true } })
  assert.match(
    text,
    /Preview<\/div><span><img [^>]+><\/span>\r\n\r\n<p>Hello<\/p><span><img [^>]+><\/span><\/body>\r\n$/,
  )
  assert.deepEqual(
    trackedLinks(text).map(({ action }) => action),
    ['initial_open', 'open'],
  )
})

test('List-Unsubscribe is stamped when the generator set none', () => {
  const plan = { listUnsubscribe: { https: true, mailto: 'u@e.example' } }
  const { text } = wrapped('From: a@b\n\nx\n', { plan })
  const header = text.slice(stamp.length, text.indexOf('From'))
  assert.match(
    header,
    /^List-Unsubscribe: <https:\/\/track\.example\.com\/[\w-]+>,\r\n\t<mailto:u@e\.example\?subject=unsubscribe%200000123456789abcdef0>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n$/,
  )
  assert.deepEqual(trackedLinks(header), [{ action: 'list_unsubscribe' }])
  const own = 'List-Unsubscribe: <mailto:x@y>\n\nx\n'
  assert.equal(below(wrapped(own, { plan }).text), crlf(own))
  const http = wrapped('From: a@b\n\nx\n', {
    plan: { listUnsubscribe: { https: true }, linkFor: () => 'http://t.example/x' },
  })
  assert.equal(below(http.text), crlf('From: a@b\n\nx\n'))
  const failing = wrapped('From: a@b\n\nx\n', { plan: { ...plan, linkFor: () => assert.fail('no keys') } })
  assert.equal(below(failing.text), crlf('From: a@b\n\nx\n'))
  assert.equal(failing.report.failure, 'no keys')
  const signed = 'DKIM-Signature: v=1\n\nx\n'
  assert.equal(below(wrapped(signed, { plan }).text), crlf(signed))
})

test('limits leave alone what passes them, and say so', () => {
  const tooLarge = crlf(html('Content-Type: text/html\n', `${page}${'x'.repeat(200)}\n`))
  const bytes = tooLarge.length - tooLarge.indexOf('\r\n\r\n') - 4
  assert.equal(wrapped(tooLarge.replaceAll('\r\n', '\n'), { limits: { bodyBytesMax: bytes } }).report.links, 1)
  const large = wrapped(tooLarge.replaceAll('\r\n', '\n'), { limits: { bodyBytesMax: bytes - 1 } })
  assert.equal(below(large.text), tooLarge)
  assert.deepEqual(large.report.skipped, { 'body-too-large': 1 })

  const links = html('Content-Type: text/html\n', '<a href="http://e.example">'.repeat(3))
  assert.equal(wrapped(links, { limits: { linksMax: 3 } }).report.links, 3)
  const many = wrapped(links, { limits: { linksMax: 2 } })
  assert.equal(below(many.text), crlf(links))
  assert.deepEqual(many.report.skipped, { 'too-many-links': 1 })

  const url = `http://e.example/${'x'.repeat(83)}`
  for (const [type, long] of [
    ['html', `<a href="${url}">`.repeat(2)],
    ['plain', `${url} ${url}\n`],
  ]) {
    const message = `Content-Type: multipart/mixed; boundary=b\n\n${`--b\nContent-Type: text/${type}\n\n${long}\n`.repeat(2)}--b--\n`
    const plan = { trackOpen: false, trackText: true }
    assert.equal(wrapped(message, { plan, limits: { urlBytesMax: 400 } }).report.links, 4)
    const { report } = wrapped(message, { plan, limits: { urlBytesMax: 399 } })
    assert.equal(report.links, 2)
    assert.deepEqual(report.skipped, { 'too-many-url-bytes': 1 })
  }

  const lines = `Content-Type: text/html\n${'X: y\n'.repeat(9)}\n${page}`
  assert.equal(wrapped(lines, { limits: { headerLinesMax: 10 } }).report.links, 1)
  const long = wrapped(lines, { limits: { headerLinesMax: 9 } })
  assert.equal(below(long.text), crlf(lines))
  const wide = wrapped(lines, { limits: { headerBytesMax: 50 } })
  assert.equal(wide.text, crlf(lines))
  assert.deepEqual(wide.report.skipped, { 'header-too-large': 1 })

  const parts = `Content-Type: multipart/mixed; boundary=b\n\n${`--b\nContent-Type: text/html\n\n${page}\n`.repeat(4)}--b--\n`
  assert.equal(wrapped(parts, { limits: { partsMax: 4 } }).report.links, 4)
  const fewer = wrapped(parts, { limits: { partsMax: 2 } })
  assert.equal(fewer.report.links, 2)
  assert.deepEqual(fewer.report.skipped, { 'too-many-parts': 1 })

  let nested = `Content-Type: text/html\n\n${page}\n`
  for (let level = 3; level > 0; level--)
    nested = `Content-Type: multipart/mixed; boundary=b${level}\n\n--b${level}\n${nested}--b${level}--\n`
  assert.equal(wrapped(nested, { limits: { depthMax: 3 } }).report.links, 1)
  const deep = wrapped(nested, { limits: { depthMax: 2 } })
  assert.equal(below(deep.text), crlf(nested))
  assert.deepEqual(deep.report.skipped, { 'too-deep': 1 })
})

test('a failure while wrapping lets the message pass as it came, whatever fails', () => {
  const message = `X-Track: all\nContent-Type: multipart/mixed; boundary=b\n\n${`--b\nContent-Type: text/html\n\n${page}\n`.repeat(3)}--b--\n`
  const plain = crlf(message).replace('X-Track: all\r\n', '')
  let calls = 0
  for (let failing = 1; failing <= 4; failing++) {
    calls = 0
    const { text, report } = wrapped(message, {
      plan: {
        linkFor: () => {
          if (++calls === failing) throw new Error('no key')
          return 'https://track.example.com/e30'
        },
      },
    })
    assert.equal(report.failure, 'no key')
    assert.equal(report.skipped.error, 1)
    const unwrapped = below(text)
      .replace(pixel, '')
      .replaceAll('https://track.example.com/e30', 'http://e.example/?a=1&amp;b=2')
    assert.equal(unwrapped, plain)
    assert.equal(report.links, below(text).split('href="https://track').length - 1)
  }
  const unsafe = wrapped(message, { plan: { linkFor: () => 'https://track.example.com/"onclick=x' } })
  assert.equal(below(unsafe.text), plain)
  const wrapper = new MessageWrapper(() => {
    throw new Error('no plan')
  })
  const out = [...wrapper.write(Buffer.from(crlf(message))), ...wrapper.end()]
  assert.equal(Buffer.concat(out).toString(), crlf(message))
  assert.equal(wrapper.report.failure, 'no plan')
})

test('an attachment flows through while it comes in', () => {
  const chunk = Buffer.from(`${'QUJD'.repeat(19)}\r\n`.repeat(800))
  const wrapper = new MessageWrapper(() => trackingPlan({ trackText: true }))
  const start = 'Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n\n'
  wrapper.write(Buffer.from(crlf(start)))
  let passed = 0
  for (let count = 0; count < 100; count++) for (const out of wrapper.write(chunk)) passed += out.length
  assert.ok(passed > 100 * chunk.length - 100)
})
