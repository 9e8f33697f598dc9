import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkUrl, tokenOfUrl } from './link-url.ts'

test('tokenOfUrl finds what linkUrl put there, whatever came behind it', () => {
  for (const base of ['https://track.example.com', 'https://track.example.com/', 'http://127.0.0.1:8888/t/']) {
    const url = linkUrl(base, '1abcDEF-_')
    for (const behind of ['', '?fbclid=1/2', '#x', '/', '\n']) assert.equal(tokenOfUrl(url + behind), '1abcDEF-_')
  }
  assert.equal(tokenOfUrl('1abcDEF-_'), '1abcDEF-_')
  assert.equal(tokenOfUrl('https://x.example/eJx%3D%3d'), 'eJx==')
})
