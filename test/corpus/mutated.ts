/** Messages that never were: those of a corpus, damaged. */

/** Deterministic numbers in [0, 1) (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const lines = [
  'Content-Type: text/html',
  'Content-Type: text/html; charset=iso-8859-1',
  'Content-Transfer-Encoding: quoted-printable',
  'Content-Transfer-Encoding: 7bit',
  'Content-Disposition: attachment',
  'Content-Type: multipart/mixed; boundary="b1"',
  'Content-Type: multipart/alternative; boundary=b1--',
  'Content-Type: multipart/signed; boundary=b1',
  '--b1',
  '--b1--',
  '--b1-- ',
  '--b1----',
  '<body><a href="http://e.example/x?a=1&amp;b=2">x</a></body>',
  '<div><p>',
  '<a href=http://e.example/bar>y</a>',
  '<a href=3D"http://e.example/=',
  'bar">x</a>',
  ' folded',
  '<!--',
  '-->',
]
const snippets = [
  '"',
  "'",
  '<',
  '>',
  '=',
  '<!--',
  '-->',
  '\xFF',
  '<body>',
  '</body>',
  '=\r\n',
  '\r\n',
  'href=',
  '&',
  '<title>',
  '<style>',
  '<div>',
]
const endings = [' ', '--', '"', "'", '>', '=', '<', '\t', '-->', '<a ', '</body>']

/** @param message one character a byte, CRLF line ends */
export function mutated(message: string, random: () => number): string {
  const below = (limit: number): number => Math.floor(random() * limit)
  const one = (choices: readonly string[]): string => choices[below(choices.length)] ?? ''
  let rows = message.split('\r\n')
  for (let count = below(5); count > 0; count--) {
    const at = random() < 0.6 ? below(rows.length) : below(Math.min(rows.length, 60))
    const row = rows[at] ?? ''
    const column = below(row.length + 1)
    switch (below(10)) {
      case 0:
        rows.splice(at, 1)
        break
      case 1:
        rows.splice(at, 0, one(rows))
        break
      case 2:
        rows = rows.slice(0, at + 1)
        break
      case 3:
      case 4:
        rows.splice(at, 0, one(lines))
        break
      case 5:
        rows[at] = row + one(endings)
        break
      case 6:
        rows[at] = row.slice(0, column) + one(snippets) + row.slice(column)
        break
      case 7:
        rows[at] = row.slice(0, column) + row.slice(column + below(4))
        break
      case 8:
        rows.splice(at, 0, one(rows.filter(row => row.startsWith('--'))) + one(['', '--', ' ', 'x']))
        break
      default:
        rows[at] = 'x'.repeat([60, 900, 990, 1100][below(4)] ?? 0) + row
    }
    if (rows.length === 0) rows = ['']
  }
  // A message does not begin with the end of its header.
  const text = rows
    .join('\r\n')
    .replaceAll(/\r\n|\n|\r/g, '\r\n')
    .replace(/^(?:\r\n)+/, '')
  return text.endsWith('\r\n') ? text : `${text}\r\n`
}
