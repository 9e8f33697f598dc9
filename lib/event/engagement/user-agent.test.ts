import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { userAgentBytesMax, userAgentText } from './user-agent-text.ts'
import { UserAgents, type UserAgent } from './user-agent.ts'

const chrome = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0'

const cases: readonly [text: string | undefined, is: UserAgent][] = [
  [undefined, { machine: 'no-user-agent' }],
  ['Mozilla/5.0', { machine: 'apple-mpp' }],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0',
    { machine: 'gmail-prefetch' },
  ],
  [
    'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
    { machine: 'gmail-proxy' },
  ],
  ['YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html', { machine: 'yahoo-proxy' }],
  ['Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', { machine: 'known-bot' }],
  ['Barracuda Sentinel (EE)', { machine: 'known-bot' }],
  ['curl/8.5.0', { machine: 'known-bot' }],
  ['python-requests/2.32', { machine: 'known-bot' }],
  [
    `Mozilla/5.0 (X11; Linux x86_64) ${chrome.replace('Chrome', 'HeadlessChrome')} Safari/537.36`,
    { machine: 'known-bot' },
  ],
  ['Microsoft Office Existence Discovery', { machine: 'known-bot' }],
  [
    'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)',
    { device: 'desktop', os: 'Windows 10' },
  ],
  ['Outlook-iOS/723.4027091.prod.iphone (4.28.0)', { device: 'iPhone', os: 'iOS' }],
  ['Outlook-Android/2.0', { device: 'mobile', os: 'Android' }],
  ['YahooMobileMail/1.0 (Android Mail; 7.45.1) (a51;samsung;SM-A515F;13;2220x1080;)', { os: 'Android' }],
  ['Dalvik/2.1.0 (Linux; U; Android 14; SM-S918B Build/UP1A.231005.007)', { os: 'Android 14' }],
  ['Outlook link scanner', { machine: 'known-bot' }],
  [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${chrome} Safari/537.36`, { device: 'desktop', os: 'Windows 10' }],
  [`Mozilla/5.0 (Linux; Android 14; Pixel 8) ${chrome} Mobile Safari/537.36`, { device: 'mobile', os: 'Android 14' }],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
    { device: 'iPhone', os: 'iOS 17.1.1' },
  ],
  [
    'Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1',
    { device: 'iPad', os: 'iOS 16.6' },
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)',
    { device: 'Mac', os: 'macOS 10.15.7' },
  ],
  ['Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.3.0', { device: 'desktop', os: 'Linux' }],
  [
    'Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook 16.0.12026; ms-office; MSOffice 16)',
    { device: 'desktop', os: 'Windows 10' },
  ],
]

for (const [text, is] of cases) {
  test(`UserAgents.read ${text}`, () =>
    assert.deepEqual(new UserAgents().read(text), { ...(text !== undefined && { text }), ...is }))
}

for (const text of [
  'Microsoft Outlook 16.0.17328',
  'Outlook-Android/2.0',
  'K-9 Mail/6.0',
  'Spark/2.11',
  'Airmail 5.0',
  'eM Client/9.2',
  'Evolution/3.48',
  'com.samsung.android.email.provider',
]) {
  test(`UserAgents.read takes no mail program for a machine: ${text}`, () => {
    assert.equal(new UserAgents().read(text).machine, undefined)
  })
}

test('UserAgents.read is total and says the same again', () => {
  const userAgents = new UserAgents()
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), text => {
      assert.deepEqual(userAgents.read(text), userAgents.read(text))
    }),
  )
})

test('userAgentText is bounded, valid UTF-8', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), bytes => {
      const text = userAgentText(Buffer.from(bytes).toString('latin1'))
      if (text === undefined) return bytes.length === 0
      assert.ok(Buffer.byteLength(text) <= userAgentBytesMax)
      return text.isWellFormed()
    }),
  )
  assert.equal(userAgentText(undefined), undefined)
  assert.equal(userAgentText(Buffer.from('Köln/1.0').toString('latin1')), 'Köln/1.0')
  // 511 bytes and a character of two: it does not fit, and half of it is not kept.
  assert.equal(userAgentText(Buffer.from(`${'a'.repeat(511)}ä`).toString('latin1')), 'a'.repeat(511))
})
