/**
 * Whether a host, as it stands in a setting or in a URL, means this machine and nobody else: `localhost`, 127.0.0.0/8, ::1
 * with or without brackets. Other names are not looked up: they may lead anywhere tomorrow.
 */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)
}
