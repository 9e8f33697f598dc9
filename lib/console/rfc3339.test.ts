import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseRfc3339 } from './rfc3339.ts'

const good: readonly (readonly [string, string])[] = [
  ['2026-02-19T12:00:00Z', '2026-02-19T12:00:00.000Z'],
  ['2026-02-19t12:00:00z', '2026-02-19T12:00:00.000Z'],
  ['2026-02-19 12:00:00Z', '2026-02-19T12:00:00.000Z'],
  ['2026-02-19T12:00:00.5Z', '2026-02-19T12:00:00.500Z'],
  ['2026-02-19T12:00:00.123456789Z', '2026-02-19T12:00:00.123Z'],
  ['2026-02-19T12:00:00+05:30', '2026-02-19T06:30:00.000Z'],
  ['2026-02-19T23:30:00-01:00', '2026-02-20T00:30:00.000Z'],
  ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
  ['2016-12-31T23:59:60Z', '2016-12-31T23:59:59.000Z'],
  ['0050-01-01T00:00:00Z', '0050-01-01T00:00:00.000Z'],
]

for (const [text, iso] of good) {
  test(`parseRfc3339 reads ${text}`, () => assert.equal(new Date(parseRfc3339(text) ?? Number.NaN).toISOString(), iso))
}

const bad = [
  '',
  'now',
  '2026-02-19',
  '2026-02-19T12:00:00',
  '2026-02-19T12:00Z',
  '2026-02-30T12:00:00Z',
  '2025-02-29T12:00:00Z',
  '2026-13-01T12:00:00Z',
  '2026-00-10T12:00:00Z',
  '2026-02-19T24:00:00Z',
  '2026-02-19T12:60:00Z',
  '2026-02-19T12:00:61Z',
  '2026-02-19T12:00:00.Z',
  '2026-02-19T12:00:00+0530',
  '2026-02-19T12:00:00+24:00',
  ' 2026-02-19T12:00:00Z',
  '2026-02-19T12:00:00Z ',
  '1771502400',
  `2026-02-19T12:00:00.${'1'.repeat(100)}Z`,
]

for (const text of bad) {
  test(`parseRfc3339 refuses ${JSON.stringify(text).slice(0, 50)}`, () => assert.equal(parseRfc3339(text), undefined))
}

test('parseRfc3339 inverts toISOString for every moment', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
      date => {
        assert.equal(parseRfc3339(date.toISOString()), date.getTime())
      },
    ),
  )
})
