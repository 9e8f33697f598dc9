import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { subjectOf } from './subject.ts'

const cases: readonly (readonly [string, string])[] = [
  ['Subject: plain\r\n\r\nbody', 'plain'],
  ['From: x\r\nSUBJECT:  folded\r\n  twice\r\n\r\n', 'folded  twice'],
  ['Subject: =?utf-8?q?gr=C3=BC=C3=9Fe_an?= =?UTF-8?B?IGRpY2g=?=\r\n\r\n', 'grüße an dich'],
  ['Subject: =?iso-8859-1?Q?caf=E9?= x\n\nbody', 'café x'],
  ['Subject: =?no-such-charset?q?a?=\r\n\r\n', '=?no-such-charset?q?a?='],
  ['Subject: 日本\r\n\r\n', '日本'],
  ['From: x\r\n\r\nSubject: of the body', ''],
  ['', ''],
]

for (const [message, subject] of cases) {
  test(`subjectOf reads ${JSON.stringify(message).slice(0, 60)}`, () => {
    assert.equal(subjectOf(Buffer.from(message)), subject)
  })
}

test('subjectOf gives a short text for any bytes', () => {
  fc.assert(fc.property(fc.uint8Array(), bytes => assert.ok(subjectOf(Buffer.from(bytes)).length <= 200)))
  assert.equal(subjectOf(Buffer.from(`Subject: ${'x'.repeat(10_000)}\r\n\r\n`)).length, 200)
})
