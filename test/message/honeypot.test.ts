/** The link that only machines follow: how it stands in a message, and what the tracker makes of who follows it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from 'cheerio'
import { decide, TrackerMemory, type TrackerPolicy } from '../../lib/event/engagement/engagement.ts'
import { NetworkList } from '../../lib/network/network-list.ts'
import { parseKeyFile } from '../../lib/link/key-file.ts'
import { LinkKeys } from '../../lib/link/keys.ts'
import { linkUrl } from '../../lib/link/link-url.ts'
import { trapLinkName } from '../../lib/link/link.ts'
import { signToken } from '../../lib/link/token.ts'
import type { TrackingPlan } from '../../lib/message/tracking/tracking-plan.ts'
import { newMessageId } from '../../lib/record/message-id.ts'
import { keyLine } from '../support/link-keys.ts'
import { trackedLinks } from '../support/tracking-plan.ts'
import { wrapped } from '../support/wrapped.ts'

const plan: Partial<TrackingPlan> = { honeypotLink: true }
const page = (body: string, type = 'text/html'): string =>
  `Content-Type: ${type}\n\n<html><body>${body}</body></html>\n`
const link = '<a href="https://e.example/">x</a>'
const traps = (text: string): number => trackedLinks(text).filter(({ linkName }) => linkName === trapLinkName).length

test('the honeypot link stands once before the bottom pixel, unseen and out of reach', () => {
  const { text, report } = wrapped(page(link), { plan })
  assert.deepEqual({ links: report.links, pixels: report.pixels }, { links: 1, pixels: 1 })
  const document = load(text.slice(text.indexOf('<html>')))
  const trap = document('a').last()
  assert.deepEqual(
    { ...trap.attr(), href: '' },
    { href: '', 'aria-hidden': 'true', tabindex: '-1', style: 'display:none' },
  )
  assert.equal(trap.html(), '')
  assert.equal(trap.next().find('img').length, 1)
  assert.deepEqual(trackedLinks(trap.attr('href') ?? ''), [
    { action: 'click', url: 'https://track.example.com/robots.txt', linkName: trapLinkName },
  ])
})

test('the honeypot link is put in only beside wrapped links, and never by itself', () => {
  assert.equal(traps(wrapped(page(link)).text), 0)
  assert.equal(traps(wrapped(page('no link'), { plan }).text), 0)
  assert.equal(traps(wrapped(page('<a href="mailto:a@b.example">x</a>'), { plan }).text), 0)
  assert.equal(traps(wrapped(page(link), { plan: { ...plan, trackClick: false } }).text), 0)
  assert.equal(traps(wrapped(`X-Track: opens\n${page(link)}`, { plan }).text), 0)
  assert.equal(traps(wrapped(page(link, 'text/x-amp-html'), { plan }).text), 0)
  assert.equal(traps(wrapped(page(link), { plan: { ...plan, trackOpen: false } }).text), 1)
})

test('a message wrapped twice has one honeypot link', () => {
  for (const cte of ['8bit', 'quoted-printable']) {
    const message = `Content-Transfer-Encoding: ${cte}\n${page(link)}`
    const once = wrapped(message, { plan })
    const again = Buffer.from(once.text.replace('</body>', `${link}</body>`), 'latin1')
    assert.ok(wrapped(once.bytes, { plan }).bytes.equals(once.bytes), cte)
    const { text, report } = wrapped(again, { plan })
    assert.equal(report.links, 1)
    assert.equal(text.match(/aria-hidden/g)?.length, 1, cte)
  }
})

test('a honeypot link and a pixel never make a line too long', () => {
  for (let chars = 200; chars < 990; chars += 13) {
    const { text, report } = wrapped(page(`${link}\n${'x'.repeat(chars)}`), { plan })
    assert.equal(report.links, 1)
    assert.ok(text.split('\r\n').every(line => line.length <= 998))
    assert.ok(!text.includes('quoted-printable'))
    assert.equal(traps(text), 1)
  }
})

test('who follows the honeypot link is a machine to the tracker, and so are its next clicks', () => {
  const keys = new LinkKeys(parseKeyFile(keyLine('k1', 'signing')))
  const now = 1_800_000_000_000
  const messageId = newMessageId(now - 3_600_000)
  const linkFor: TrackingPlan['linkFor'] = request =>
    linkUrl('https://track.example.com', signToken({ ...request, messageId }, keys))
  const { text } = wrapped(page(link), { plan: { ...plan, linkFor, messageId } })
  const [click = '', trap = ''] = load(text.slice(text.indexOf('<html>')))('a')
    .toArray()
    .map(({ attribs }) => attribs['href'] ?? '')
  const policy: TrackerPolicy = {
    pathPrefix: '',
    trustedProxies: NetworkList.of(),
    addressDetail: 'full',
    legacyLinks: 'off',
    legacyHosts: [],
    earlyClickMs: 5000,
    geoOf: undefined,
    isAppleRelay: undefined,
  }
  const memory = new TrackerMemory()
  const follow = (url: string) => {
    const request = {
      method: 'GET',
      target: new URL(url).pathname,
      userAgent:
        'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
      forwardedFor: undefined,
      realIp: undefined,
      contentType: undefined,
      body: Buffer.alloc(0),
      peer: '203.0.113.77',
    }
    const { answer, event } = decide(request, now, keys, policy, memory)
    return [answer.status, event?.verdict?.reason]
  }
  assert.deepEqual(follow(trap), [302, 'trap'])
  assert.deepEqual(follow(click), [302, 'after-trap'])
})
