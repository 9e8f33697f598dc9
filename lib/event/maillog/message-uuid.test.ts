import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { messageUuid } from './message-uuid.ts'

const uuid = '18c23021-1f3f-565c-88a7-f6b3aa540bc8'

const forms: Record<string, string | undefined> = {
  [`<${uuid}@app.example>`]: uuid,
  [uuid.toUpperCase()]: uuid,
  [`<sp-${uuid}-x@y>`]: uuid,
  [`<ffff${uuid}ffff@y>`]: uuid,
  [uuid.replaceAll('-', '')]: uuid,
  [`<${uuid.replaceAll('-', '')}.7@y>`]: uuid,
  [`0${uuid.replaceAll('-', '')}`]: undefined,
  [`${'0'.repeat(32)} ${uuid}`]: uuid,
  [uuid.slice(1)]: undefined,
  [uuid.slice(0, -1)]: undefined,
  '': undefined,
  '<20261121.4A3B2C1D@mx.example>': undefined,
}
for (const [text, found] of Object.entries(forms)) {
  test(`messageUuid of "${text}"`, () => assert.equal(messageUuid(text), found))
}

test('messageUuid finds what the patterns of a UUID find', () => {
  const dashed = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i
  const bare = /(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/i
  const part = fc.oneof(
    fc.stringMatching(/^[0-9a-fA-F]{1,13}$/),
    fc.constantFrom('-', '-', 'g', ' ', uuid, uuid.slice(0, 24), uuid.slice(24), '0'.repeat(32), '\u0130'),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 14 }), parts => {
      const text = parts.join('')
      const expected = (dashed.exec(text) ?? bare.exec(text))?.[0].replaceAll('-', '').toLowerCase()
      assert.equal(messageUuid(text)?.replaceAll('-', ''), expected)
    }),
    { numRuns: 2000 },
  )
})
