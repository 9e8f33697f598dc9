import { NetworkList } from './network-list.ts'

export const loopbackNetworks = NetworkList.of('127.0.0.0/8', '::1')

/**
 * Whether a host, as it stands in a setting or in a URL, or the address of a peer means this machine and nobody else:
 * `localhost`, 127.0.0.0/8, ::1 with or without brackets. Other names are not looked up: they may lead anywhere tomorrow.
 */
export function isLoopback(host: string): boolean {
  return /^localhost\.?$/i.test(host) || loopbackNetworks.has(host.replace(/^\[(.*)\]$/s, '$1'))
}
