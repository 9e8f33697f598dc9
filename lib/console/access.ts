/** Who may ask what: keys of the ingestion APIs, host names of the page. */
import { hash, timingSafeEqual } from 'node:crypto'
import { formatHostPort, type HostPort } from '../process/option.ts'

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

/** Whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

/**
 * Whether a Host header names us. A page in a browser on this machine may reach loopback under a name of its own
 * choice (DNS rebinding) and would then read what is meant for its owner only.
 */
export function hostCheck(at: HostPort): (host: string | undefined) => boolean {
  const own = formatHostPort({ ...at, port: 0 }).replace(/:0$/, '')
  const names = new Set(['localhost', '127.0.0.1', '[::1]', own])
  return host => names.has((host ?? '').replace(/:\d{1,5}$/, '').toLowerCase())
}
