/**
 * npm run bench link: CPU time to make and to read a link, and its length, against the zlib form of the 2020 project for
 * the same URLs. Both take turns in one run; each figure is the best round, since everything else on the machine can only
 * make it slower.
 *
 * BENCH_ROUNDS (7) makes it longer. Aims: half of the zlib form's time for ordinary URLs, never more; always shorter.
 */
import { createSecretKey, randomBytes } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { deflateSync, inflateSync } from 'node:zlib'
import { LinkKeys } from '../lib/link/keys.ts'
import { isTrackableUrl, signToken, verifyToken } from '../lib/link/token.ts'

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 7)
const linksARound = 5_000
const messageId = '0000123456789abcdef0'
const recipient = 'any@example.com'
const keys = new LinkKeys([
  { id: 'aa', state: 'signing', created: '2026-01-01T00:00:00Z', secret: createSecretKey(randomBytes(32)) },
])

const slugs = ['spring-offers', 'blue-suede-shoes', 'how-to-pack', 'last-chance', 'new-arrivals', 'your-order']
/** So many different ones that none is remembered from one time to the next. */
const variety = linksARound
const kinds: Readonly<Record<string, (index: number) => string>> = {
  short: index => `https://www.example.com/${slugs[index % 6]}/${index}`,
  'short, a campaign': index => `https://www.example.com/${slugs[index % 6]}/${index % 25}`,
  middle: index =>
    `https://shop.example.com/products/${slugs[index % 6]}-${index}?utm_source=newsletter&utm_medium=email&utm_campaign=spring_${index}`,
  'long, random token': index =>
    `https://click.example.com/ls/click?upn=${token(index, 330)}&id=${index}&list=7f3a&user=${token(index + 7, 40)}`,
  'long, many parameters': index =>
    `https://shop.example.com/cart?${Array.from({ length: 12 }, (_, item) => `items%5B${item}%5D%5Bid%5D=${index * 31 + item}`).join('&')}`,
}

function token(seed: number, length: number): string {
  let state = seed * 2_654_435_761 + 1
  const bytes = Buffer.alloc(Math.ceil(length * 0.75))
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = state >>> 16
  }
  return bytes.toString('base64url').slice(0, length)
}

function zlibToken(url: string): string {
  const claims = JSON.stringify({ act: 'c', t_url: url, msg_id: messageId, rcpt: recipient })
  const text = deflateSync(claims).toString('base64url')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

const readZlib = (text: string): unknown => JSON.parse(inflateSync(Buffer.from(text, 'base64url')).toString())
const sign = (url: string) => signToken({ action: 'click', messageId, url }, keys)

/** CPU µs an item, best round of each job; the jobs take turns. */
function measure(jobs: Readonly<Record<string, (index: number) => unknown>>): Record<string, number> {
  const best: Record<string, number> = {}
  for (let round = 0; round <= rounds; round++) {
    for (const [name, job] of Object.entries(jobs)) {
      const before = process.cpuUsage()
      for (let index = 0; index < linksARound; index++) job(index % variety)
      const { user, system } = process.cpuUsage(before)
      // The first round warms up.
      if (round > 0) best[name] = Math.min(best[name] ?? Infinity, (user + system) / linksARound)
    }
  }
  return best
}

const mean = (texts: readonly string[]) => texts.reduce((sum, { length }) => sum + length, 0) / texts.length
const rows: string[][] = [
  ['URLs', 'characters', 'token', 'zlib', 'make µs', 'zlib', 'read µs', 'zlib', 'make, times', 'read, times'],
]
for (const [kind, make] of Object.entries(kinds)) {
  const urls = Array.from({ length: variety }, (_, index) => make(index))
  const tokens = urls.map(sign)
  const zlibTokens = urls.map(zlibToken)
  const {
    ours = 0,
    zlib = 0,
    verify = 0,
    inflate = 0,
  } = measure({
    ours: index => sign(urls[index]!),
    zlib: index => zlibToken(urls[index]!),
    verify: index => verifyToken(tokens[index]!, keys),
    inflate: index => readZlib(zlibTokens[index]!),
  })
  rows.push([
    kind,
    mean(urls).toFixed(0),
    mean(tokens).toFixed(0),
    mean(zlibTokens).toFixed(0),
    ours.toFixed(1),
    zlib.toFixed(1),
    verify.toFixed(1),
    inflate.toFixed(1),
    (ours / zlib).toFixed(2),
    (verify / inflate).toFixed(2),
  ])
}
const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
for (const row of rows) console.log(row.map((cell, column) => cell.padStart(widths[column]!)).join('  '))

const corpora = resolve(import.meta.dirname, '../../shared/corpora')
const found = new Set<string>()
for (const file of globSync('**/*.{html,htm,eml}', { cwd: corpora })) {
  const text = readFileSync(resolve(corpora, file), 'latin1')
    .replaceAll(/=\r?\n/g, '')
    .replaceAll('=3D', '=')
  for (const [, url] of text.matchAll(/href\s*=\s*["'](https?:\/\/[^"'\s]+)["']/gi))
    found.add(url!.replaceAll('&amp;', '&'))
}
const urls = [...found].filter(isTrackableUrl)
if (urls.length === 0) console.log('The corpus is not at hand: no lengths of its URLs.')
else {
  const longer = urls.filter(url => sign(url).length >= zlibToken(url).length)
  console.log(
    `\n${urls.length} different URLs of the corpus, ${mean(urls).toFixed(0)} characters on average: ` +
      `token ${mean(urls.map(sign)).toFixed(0)}, zlib form ${mean(urls.map(zlibToken)).toFixed(0)}; longer than it: ${longer.length}`,
  )
}
