import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isoMicros, StampClock } from './stamp-clock.ts'
import { TimeZone } from './time-zone.ts'

function instants(zone: string, now: string, ...stamps: string[]): string[] {
  const clock = new StampClock(new TimeZone(zone), () => Date.parse(now))
  return stamps.map(stamp => {
    const at = clock.traditional(stamp)
    return Number.isNaN(at) ? 'none' : new Date(at).toISOString().replace('.000', '')
  })
}

test('a traditional stamp lies in the year that leaves it no more than a day ahead', () => {
  assert.deepEqual(
    instants('UTC', '2027-01-02T00:00:00Z', 'Dec 31 23:59:59', 'Jan  1 00:00:01', 'Jan  2 23:00:00', 'Jan  4 00:00:00'),
    ['2026-12-31T23:59:59Z', '2027-01-01T00:00:01Z', '2027-01-02T23:00:00Z', '2026-01-04T00:00:00Z'],
  )
})
test('the 29th of February lies in a leap year', () => {
  assert.deepEqual(instants('UTC', '2027-01-02T00:00:00Z', 'Feb 29 12:00:00'), ['2024-02-29T12:00:00Z'])
})
test('a traditional stamp is local time of the zone', () => {
  assert.deepEqual(instants('Europe/Berlin', '2026-11-21T00:00:00Z', 'Feb  9 13:00:05', 'Jul 09 13:00:05'), [
    '2026-02-09T12:00:05Z',
    '2026-07-09T11:00:05Z',
  ])
})
test('the hour that comes twice is the second one once lines go back', () => {
  assert.deepEqual(
    instants(
      'America/New_York',
      '2026-11-21T00:00:00Z',
      'Nov  1 01:59:56',
      'Nov  1 01:00:02',
      'Nov  1 01:00:01',
      'Nov  1 02:00:00',
    ),
    ['2026-11-01T05:59:56Z', '2026-11-01T06:00:02Z', '2026-11-01T06:00:01Z', '2026-11-01T07:00:00Z'],
  )
})
test('an hour that is left out is read an hour later', () => {
  assert.deepEqual(instants('Europe/Berlin', '2026-11-21T00:00:00Z', 'Mar 29 02:30:00'), ['2026-03-29T01:30:00Z'])
})
test('what is no time is none', () => {
  assert.deepEqual(instants('UTC', '2026-11-21T00:00:00Z', 'Feb 30 00:00:00', 'Feb  1 24:00:00', 'Feb  x 00:00:00'), [
    'none',
    'none',
    'none',
  ])
})

const iso: Record<string, number> = {
  '2026-11-21T16:24:03Z': 1_795_278_243_000_000,
  '2026-11-21T16:24:03.867203+00:00': 1_795_278_243_867_203,
  '2026-11-21T17:24:03.5+0100': 1_795_278_243_500_000,
  '2026-11-21T16:24:03.123456789Z': 1_795_278_243_123_456,
  '2026-11-21T15:54:03-00:30': 1_795_278_243_000_000,
  '2026-11-21T16:24:60Z': 1_795_278_300_000_000,
  '2024-02-29T00:00:00Z': 1_709_164_800_000_000,
  '2026-02-29T00:00:00Z': Number.NaN,
  '2026-11-21T24:00:00Z': Number.NaN,
  '2026-11-21T16:24:03': Number.NaN,
  '2026-11-21T16:24:03+1': Number.NaN,
  '2026-11-21 16:24:03Z': Number.NaN,
}
for (const [stamp, micros] of Object.entries(iso)) {
  test(`isoMicros of ${stamp}`, () => assert.equal(isoMicros(stamp), micros))
}

test('isoMicros reads what Date writes, and Date reads what isoMicros takes', () => {
  const instant = fc.date({ min: new Date('1970-01-01'), max: new Date('2099-12-31'), noInvalidDate: true })
  fc.assert(fc.property(instant, date => assert.equal(isoMicros(date.toISOString()), date.getTime() * 1000)))
  const digits = fc.tuple(...[4, 2, 2, 2, 2, 2].map(length => fc.stringMatching(new RegExp(`^[0-9]{${length}}$`))))
  fc.assert(
    fc.property(digits, parts => {
      const stamp = parts.map((part, index) => ['', '-', '-', 'T', ':', ':'][index]! + part).join('')
      // Date knows neither leap seconds nor the days that a month does not have.
      if (parts[5] === '60' || parts[3] === '24') return
      const date = new Date(`${stamp}Z`)
      const expected = date.toISOString?.call(Number.isNaN(date.getTime()) ? new Date(0) : date)
      const exists = !Number.isNaN(date.getTime()) && expected.startsWith(stamp)
      assert.equal(isoMicros(`${stamp}Z`), exists ? date.getTime() * 1000 : Number.NaN)
    }),
  )
})
