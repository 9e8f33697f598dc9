/** Where a status line says that the message went. */
import { NetworkList } from '../../network/network-list.ts'

/** The address in brackets of `HOST[ADDRESS]:PORT`; undefined for `local`, `none`, a pipe's name and the like. */
export function relayAddress(relay: string): string | undefined {
  const open = relay.lastIndexOf('[')
  const close = relay.indexOf(']', open)
  return open === -1 || close === -1 ? undefined : relay.slice(open + 1, close)
}

/** Loopback, private (RFC 1918, RFC 4193), shared by a carrier's customers (RFC 6598), link-local. */
const nearNetworks = NetworkList.of(
  ...['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16'],
  ...['::1', 'fc00::/7', 'fe80::/10'],
)

/** Whether an address can only be this machine or its own network, or is a unix socket. */
export function isNearAddress(address: string): boolean {
  return address.includes('/') || nearNetworks.has(address.replace(/%.*$/s, ''))
}
