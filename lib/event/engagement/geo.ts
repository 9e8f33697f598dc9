/** Where an address is, from a database in MaxMind's format (GeoLite2 City and the like). */
import { Reader, type CityResponse } from 'mmdb-lib'
import { readNamedFile } from '../../process/named-file.ts'
import type { Geo } from '../event.ts'

/**
 * Reads the database into memory; what it returns looks an address up.
 * @throws Error that names the file and what is wrong with it
 */
export function openGeo(file: string): (address: string) => Geo | undefined {
  let reader: Reader<CityResponse>
  try {
    reader = new Reader<CityResponse>(readNamedFile(file))
  } catch (error) {
    throw new Error(`--geoip-db ${file} can't be used as a MaxMind database (.mmdb): ${(error as Error).message}`, {
      cause: error,
    })
  }
  return address => {
    let found: CityResponse | null
    try {
      found = reader.get(address)
    } catch {
      // A damaged database costs the place, not the event.
      return undefined
    }
    return found === null ? undefined : geoOf(found)
  }
}

function geoOf(found: CityResponse): Geo | undefined {
  const country = found.country?.iso_code ?? found.registered_country?.iso_code
  const region = found.subdivisions?.[0]?.iso_code
  const city = found.city?.names?.en
  const zip = found.postal?.code
  const { latitude, longitude } = found.location ?? {}
  const geo = {
    ...(typeof country === 'string' && { country }),
    ...(typeof region === 'string' && { region }),
    ...(typeof city === 'string' && { city }),
    ...(typeof latitude === 'number' && typeof longitude === 'number' && { latitude, longitude }),
    ...(typeof zip === 'string' && { zip, postalCode: zip }),
  }
  return Object.keys(geo).length === 0 ? undefined : geo
}
