/** A mail that was wrapped, in a real browser: it shows the pixel, follows the link, unsubscribes by the button. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { simpleParser } from 'mailparser'
import { newMessageId } from '../../lib/record/message-id.ts'
import { startChromium, type Browser } from '../support/chromium.ts'
import { startProcess, until } from '../support/process.ts'
import { queuedEngagements } from '../support/queued-events.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { startTracker, type TestTracker } from '../support/tracker.ts'

const userAgent =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36'

let redis: TestRedis
let tracker: TestTracker
let browser: Browser
/** Serves the mail, as web mail does, and is where its links lead. */
let site: Server
let siteUrl: string
let mail = ''
/** What the browser asked the site for. */
const asked: { path: string; referer: string | undefined }[] = []

before(async () => {
  redis = await startRedis()
  tracker = await startTracker({ redisUrl: redis.url, args: ['--early-click', '0'] })
  site = createServer((request, response) => {
    asked.push({ path: request.url ?? '', referer: request.headers.referer })
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end(request.url === '/mail' ? mail : '<title>arrived</title><h1>Shop</h1>')
  })
  await new Promise<void>(resolve => site.listen(0, '127.0.0.1', resolve))
  siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  browser = await startChromium(userAgent)
})
after(async () => {
  await browser?.close()
  site?.closeAllConnections()
  site?.close()
  await tracker?.stop()
  await redis?.stop()
})

const eventsOf = async (messageId: string) =>
  (await queuedEngagements(redis.client)).filter(event => event.messageId === messageId)

test('the pixel of a wrapped mail is shown, and its link leads where it led before', async () => {
  const messageId = newMessageId(Date.now())
  const target = `${siteUrl}/shop/%E4%FC?a=1&amp;b=%2F&amp;q=日本#top`
  const message = [
    'From: a@example.com',
    'To: b@example.net',
    'Subject: Spring',
    `X-Sp-Message-Id: ${messageId}`,
    'MIME-Version: 1.0',
    'Content-Type: text/html; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    `<html><body><p>Hello</p><a id="offer" href="${target}">See the offer</a></body></html>`,
    '',
  ].join('\r\n')
  const wrap = await startProcess(
    'node',
    [
      new URL('../../cmd/linktool.ts', import.meta.url).pathname,
      ...['wrap', '--tracking-url', tracker.url, '--link-keys', tracker.keyFile],
    ],
    { input: message },
  )
  assert.deepEqual(await wrap.exited, { code: 0, signal: null }, wrap.output.stderr)
  mail = String((await simpleParser(wrap.output.stdout)).html)
  assert.doesNotMatch(mail, /shop/)

  await browser.go(`${siteUrl}/mail`)
  await browser.waitFor('[...document.images].some(image => image.complete && image.naturalWidth === 1)')
  await browser.click('#offer')
  await browser.waitFor('document.title === "arrived"')

  const arrived = asked.find(({ path }) => path.startsWith('/shop'))
  assert.equal(arrived?.path, '/shop/%E4%FC?a=1&b=%2F&q=%E6%97%A5%E6%9C%AC')
  assert.equal(await browser.evaluate('location.hash'), '#top')
  const events = await until('open and click', async () => {
    const events = await eventsOf(messageId)
    return events.length >= 2 && events
  })
  assert.deepEqual(events.map(event => event.type).toSorted(), ['click', 'open'])
  for (const event of events) {
    assert.equal(event.userAgent, userAgent)
    assert.deepEqual(event.verdict, { device: 'desktop', os: 'Windows 10' })
  }
})

test('opening the unsubscribe page changes nothing, its button does', async () => {
  const messageId = newMessageId(Date.now())
  await browser.go(tracker.url + tracker.path({ action: 'list_unsubscribe', messageId }))
  assert.equal(await browser.evaluate('document.title'), 'Unsubscribe?')
  assert.deepEqual(await eventsOf(messageId), [])
  await browser.click('button')
  await browser.waitFor('document.title === "You are unsubscribed"')
  assert.deepEqual(
    (await eventsOf(messageId)).map(event => event.type),
    ['list_unsubscribe'],
  )
  assert.deepEqual(
    browser.errors.filter(error => !error.includes('favicon')),
    [],
  )
})
