/** Messages made to stop a parser. */

const html = (body: string): string => `Content-Type: text/html\r\n\r\n${body}\r\n`

/** Name → message, and the reason it is left alone for; none where it is wrapped after all. */
export const bombs: Record<string, [string, string?]> = {
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
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n${'--bc-\r\n'.repeat(290_000)}\r\n--b--\r\n`,
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
