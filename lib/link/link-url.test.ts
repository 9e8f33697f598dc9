import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkUrl, readTrackingUrl, tokenOfUrl } from './link-url.ts'

test('readTrackingUrl takes http and https, with port and path, and drops slashes at the end', () => {
  assert.equal(readTrackingUrl('https://track.example.com'), 'https://track.example.com')
  assert.equal(readTrackingUrl('http://127.0.0.1:8888/'), 'http://127.0.0.1:8888')
  assert.equal(readTrackingUrl('https://example.com/t//'), 'https://example.com/t')
})

const refused = [
  '',
  'track.example.com',
  'ftp://track.example.com',
  'https://',
  'https://track.example.com/?a',
  'https://track.example.com/#a',
  'https://user@track.example.com',
  'https://:pw@track.example.com',
  'https://track.example.com/a b',
  'https://track.example.com/"',
  'https://track.example.com/\r\n',
  'https://bücher.example',
]
for (const text of refused)
  test(`readTrackingUrl refuses ${JSON.stringify(text)}`, () => assert.throws(() => readTrackingUrl(text), /expected/))

test('tokenOfUrl finds what linkUrl put there, whatever came behind it', () => {
  for (const base of ['https://track.example.com', 'https://track.example.com/', 'http://127.0.0.1:8888/t/']) {
    const url = linkUrl(base, '1abcDEF-_')
    for (const behind of ['', '?fbclid=1/2', '#x', '/', '\n']) assert.equal(tokenOfUrl(url + behind), '1abcDEF-_')
  }
  assert.equal(tokenOfUrl('1abcDEF-_'), '1abcDEF-_')
  assert.equal(tokenOfUrl('https://x.example/eJx%3D%3d'), 'eJx==')
})
