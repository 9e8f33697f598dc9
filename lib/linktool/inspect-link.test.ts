import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { parseKeyFile } from '../link/key-file.ts'
import { LinkKeys } from '../link/keys.ts'
import { signToken } from '../link/token.ts'
import { inspectLink } from './inspect-link.ts'

const keys = new LinkKeys(parseKeyFile(`k7 signing 2026-01-01T00:00:00Z ${randomBytes(32).toString('base64')}`))
/** Of the 2020 project, from its documentation. */
const legacy =
  'eJxUzLEOQiEMRuF3-WciGAaTTr4JwbaIUSKBMhnf_Ybxnv18P2Q2EBgOltb4gFDN-iTvraotfs8Lfxsc2nyml4AQdqJZHqqlhCDXGG9wGNw3VYbK_fT-jwAAAP__f2Mg1g=='

const dashed = (url: string) =>
  url.replaceAll(/[^\w.]|_/g, character =>
    character === '/' ? '_' : `-${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )

const services: Readonly<Record<string, (url: string) => string>> = {
  'Outlook Safe Links': url => `https://eur01.safelinks.protection.outlook.com/?url=${encodeURIComponent(url)}&data=05`,
  Barracuda: url => `https://linkprotect.cudasvc.com/url?a=${encodeURIComponent(url)}&c=E,1,abc&typo=1`,
  'Proofpoint 2': url => `https://urldefense.proofpoint.com/v2/url?u=${dashed(url)}&d=DwMFaQ&c=x&r=y&m=z&s=a&e=`,
  'Proofpoint 3': url => `https://urldefense.com/v3/__${url.replaceAll('=', '*')}__;PT0!!AbC-_d!xyz$`,
  Cisco: url => `https://secure-web.cisco.com/1abc_-x/${encodeURIComponent(url)}`,
}

test('inspectLink finds a link within that of a security service, whatever characters it has', () => {
  for (const [service, around] of Object.entries(services)) {
    // Enough for - and _ to be at every place, the end too.
    for (let n = 0; n < 200; n++) {
      const url = `https://example.com/?n=${n}`
      const token = signToken({ action: 'click', messageId: `m${n}`, url }, keys)
      const found = inspectLink(around(`https://t.example.net/path/${token}`), keys)
      assert.deepEqual([found?.signature, found?.url], ['valid', url], `${service} ${token}`)
    }
    assert.equal(inspectLink(around(`https://t.example.net/${legacy}`), keys)?.url, 'https://thetucks.com', service)
    assert.equal(inspectLink(around('https://example.com/about'), keys), undefined, service)
  }
})

test('inspectLink is total', () => {
  for (const text of [
    '',
    'https://x/?u=https-3A_%zz',
    'https://x/v3/__https://__;',
    'https://x/https%3A%2F%2F%',
    'x'.repeat(1e6),
  ]) {
    assert.equal(inspectLink(text, keys), undefined)
  }
})
