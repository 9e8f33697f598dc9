/** Where a status line says that the message went. */

/** The address in brackets of `HOST[ADDRESS]:PORT`; undefined for `local`, `none`, a pipe's name and the like. */
export function relayAddress(relay: string): string | undefined {
  const open = relay.lastIndexOf('[')
  const close = relay.indexOf(']', open)
  return open === -1 || close === -1 ? undefined : relay.slice(open + 1, close)
}

/** Whether an address can only be this machine or its own network: loopback, private, link-local, or a unix socket. */
export function isNearAddress(address: string): boolean {
  return (
    /^(?:127\.|10\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/.test(
      address,
    ) ||
    /^(?:::1$|fe[89ab]|f[cd])/i.test(address) ||
    address.includes('/')
  )
}
