import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { mmdb } from '../../../test/support/mmdb.ts'
import { openGeo } from './geo.ts'

const dir = mkdtempSync(join(tmpdir(), 'mta-geo-'))
after(() => rmSync(dir, { recursive: true, force: true }))

function written(bytes: Buffer): string {
  const file = join(dir, 'test.mmdb')
  writeFileSync(file, bytes)
  return file
}

const database = mmdb({
  '203.0.113.0/24': {
    country: { iso_code: 'DE' },
    subdivisions: [{ iso_code: 'BE' }],
    city: { names: { en: 'Berlin' } },
    location: { latitude: 52.52, longitude: 13.405 },
    postal: { code: '10117' },
  },
  '198.51.100.0/25': { registered_country: { iso_code: 'US' } },
  '192.0.2.0/24': { traits: { is_anycast: 1 } },
})

test('openGeo gives what is known of a place', () => {
  const geoOf = openGeo(written(database))
  assert.deepEqual(geoOf('203.0.113.77'), {
    country: 'DE',
    region: 'BE',
    city: 'Berlin',
    latitude: 52.52,
    longitude: 13.405,
    zip: '10117',
    postalCode: '10117',
  })
  assert.deepEqual(geoOf('198.51.100.1'), { country: 'US' })
  for (const address of ['192.0.2.1', '198.51.100.200', '8.8.8.8', '2001:db8::1', 'nonsense', '']) {
    assert.equal(geoOf(address), undefined, address)
  }
})

test('openGeo names a file that is no such database', () => {
  assert.throws(() => openGeo(join(dir, 'absent.mmdb')), /absent\.mmdb can't be used/)
  assert.throws(() => openGeo(written(Buffer.from('not a database'))), /test\.mmdb can't be used/)
})

test('openGeo lives with a damaged database', () => {
  let damaged = 0
  for (let at = 0; at < database.length; at += 3) {
    const bytes = Buffer.from(database)
    bytes[at] = (bytes[at] ?? 0) ^ 0xff
    let geoOf
    try {
      geoOf = openGeo(written(bytes))
    } catch {
      damaged++
      continue
    }
    geoOf('203.0.113.77')
  }
  assert.ok(damaged > 0)
})
