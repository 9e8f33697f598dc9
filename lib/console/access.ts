/** Who may ask what: the keys of the ingestion APIs. */
import { hash, timingSafeEqual } from 'node:crypto'

/** Whether a key that was presented is good. Without a configured key any that is not empty is. */
export function keyCheck(apiKey: string | undefined): (presented: string | undefined) => boolean {
  if (apiKey === undefined) return presented => presented !== undefined && presented !== ''
  const wanted = hash('sha256', apiKey, 'buffer')
  return presented => presented !== undefined && timingSafeEqual(hash('sha256', presented, 'buffer'), wanted)
}

/** The password of HTTP Basic authentication, or the header as it is: SparkPost takes the key in either place. */
export function keysOf(authorization: string | undefined): readonly (string | undefined)[] {
  const basic = /^basic +([a-z0-9+/]+=*)$/i.exec(authorization ?? '')
  if (!basic?.[1]) return [authorization]
  const [user = '', password = ''] = Buffer.from(basic[1], 'base64').toString().split(/:(.*)/s)
  return [authorization, user, password]
}
