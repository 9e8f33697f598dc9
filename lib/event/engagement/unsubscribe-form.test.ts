import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formBytesMax, isOneClick } from './unsubscribe-form.ts'

const urlencoded = 'application/x-www-form-urlencoded'
const multipart = 'multipart/form-data; boundary=---FormBoundaryjWmhtjORrn'
/** The example of RFC 8058 §8.2, as a mail service sends it. */
const rfcExample = [
  '-----FormBoundaryjWmhtjORrn',
  'Content-Disposition: form-data; name="List-Unsubscribe"',
  '',
  'One-Click',
  '-----FormBoundaryjWmhtjORrn--',
  '',
].join('\r\n')

const cases: readonly [why: string, type: string | undefined, body: string, is: boolean][] = [
  ['urlencoded', urlencoded, 'List-Unsubscribe=One-Click', true],
  ['with a charset', `${urlencoded}; charset=UTF-8`, 'List-Unsubscribe=One-Click', true],
  ['without a type', undefined, 'List-Unsubscribe=One-Click', true],
  ['among others', urlencoded, 'a=b&List-Unsubscribe=One-Click&c=d', true],
  ['escaped', urlencoded, 'List%2DUnsubscribe=One%2DClick', true],
  ['in another case', urlencoded, 'list-unsubscribe=one-click', true],
  ['with a line end', urlencoded, 'List-Unsubscribe=One-Click\r\n', true],
  ['multipart', multipart, rfcExample, true],
  ['multipart with LF', multipart, rfcExample.replaceAll('\r\n', '\n'), true],
  [
    'multipart with a type of its own',
    multipart,
    rfcExample.replace('"\r\n', '"\r\nContent-Type: text/plain\r\n'),
    true,
  ],
  ['nothing', urlencoded, '', false],
  ['another value', urlencoded, 'List-Unsubscribe=Two-Clicks', false],
  ['another name', urlencoded, 'List-Subscribe=One-Click', false],
  ['the value alone', urlencoded, 'One-Click', false],
  ['multipart, another value', multipart, rfcExample.replace('One-Click', 'Never'), false],
  ['multipart, another name', multipart, rfcExample.replace('List-Unsub', 'List-Sub'), false],
  ['JSON', 'application/json', 'List-Unsubscribe=One-Click', false],
  ['bytes', urlencoded, '%ff%00\u0000ä', false],
]

for (const [why, type, body, is] of cases) {
  test(`isOneClick: ${why}`, () => assert.equal(isOneClick(type, Buffer.from(body)), is))
}

test('isOneClick takes time in proportion to the largest body at most', () => {
  for (const unit of ['a', '\n', 'content-disposition:', ';name=', 'a\n']) {
    const body = Buffer.from(`content-disposition: x; name=list-unsubscribe\n${unit.repeat(formBytesMax)}`)
    const began = process.cpuUsage()
    isOneClick(multipart, body.subarray(0, formBytesMax))
    const { user } = process.cpuUsage(began)
    assert.ok(user < 200_000, `${user} µs for ${JSON.stringify(unit)}`)
  }
})
