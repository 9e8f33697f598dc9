/** By which names a server on loopback lets itself be asked. */
import { formatHostPort, type HostPort } from './option.ts'

/**
 * Whether a Host header names us: by a loopback name, or by the one that we listen on. A page in a browser on this machine
 * may reach loopback under a name of its own choice (DNS rebinding) and would then read what is meant for its owner only.
 */
export function hostCheck(at: HostPort): (host: string | undefined) => boolean {
  const own = formatHostPort({ ...at, port: 0 }).replace(/:0$/, '')
  const names = new Set(['localhost', '127.0.0.1', '[::1]', own.toLowerCase()])
  return host => names.has((host ?? '').replace(/:\d{1,5}$/, '').toLowerCase())
}
