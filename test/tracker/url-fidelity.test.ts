/** Where a click leads is what the author wrote, over the wire, whatever characters it has. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isRedirectTarget } from '../../lib/link/redirect-target.ts'
import { freePort } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { startTracker } from '../support/tracker.ts'

/** What is found in mails, and what breaks in trackers that read a URL and write it anew. */
const fromLife = [
  'https://example.com',
  'http://example.com/?',
  'https://example.com/#',
  'https://example.com/?a=1&amp;b=2',
  'https://example.com/reset?token=aGVsbG8+d29ybGQ/PT0=',
  'https://example.com/%E4%FC%F6?latin1',
  'https://example.com/a%2Fb%2fc/../d/./e//f',
  'https://example.com/?q[]=1&q[]=2&r={"a":1}|b^c`d',
  "https://example.com/it's/(really)/*here*/!",
  'https://example.com/100%/%/%zz',
  'https://user:p%40ss@example.com:8443/x',
  'https://[2001:db8::1]:8080/x',
  'HTTPS://EXAMPLE.COM/UPPER',
  'https://example.com/app#/route?x=y',
  'https://example.com/;jsessionid=1?x;y;z',
  'https://example.com/\\path\\with\\backslashes',
  'https://example.com/"<>"',
  `https://example.com/?${'long=parameter&'.repeat(250)}`,
]

const escaped: readonly (readonly [url: string, location: string])[] = [
  ['https://example.com/日本語?q=ü', 'https://example.com/%E6%97%A5%E6%9C%AC%E8%AA%9E?q=%C3%BC'],
  ['https://bücher.example/', 'https://b%C3%BCcher.example/'],
  ['https://example.com/a b', 'https://example.com/a%20b'],
  ['https://example.com/😀', 'https://example.com/%F0%9F%98%80'],
]

test('Location is the URL that was signed', async () => {
  const tracker = await startTracker({ redisUrl: `redis://127.0.0.1:${await freePort()}` })
  const locationOf = (url: string) =>
    new Promise<string | undefined>((resolve, reject) => {
      const asked = request(
        { port: tracker.port, path: tracker.path({ url }), agent: false, maxHeaderSize: 65_536 },
        answer => {
          answer.resume()
          answer.once('end', () =>
            answer.statusCode === 302
              ? resolve(answer.headers.location)
              : reject(new Error(`${answer.statusCode}: ${url}`)),
          )
        },
      )
      asked.once('error', reject).end()
    })
  try {
    for (const url of fromLife) assert.equal(await locationOf(url), url)
    for (const [url, location] of escaped) assert.equal(await locationOf(url), location)
    const printable = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map(n => String.fromCharCode(n)) })
    const urls = fc.oneof(
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc
        .tuple(fc.constantFrom('http', 'https'), fc.domain(), printable)
        .map(([s, host, tail]) => `${s}://${host}/${tail}`),
    )
    await fc.assert(
      fc.asyncProperty(urls, async url => {
        fc.pre(isRedirectTarget(url))
        assert.equal(await locationOf(url), url)
      }),
      { numRuns: sized(500, 100_000) },
    )
  } finally {
    await tracker.stop()
  }
})
