import { wrapperOptions } from '../lib/message/smtp/options.ts'
import { startWrapper, validateWrapper } from '../lib/message/smtp/start-wrapper.ts'
import { run } from '../lib/process/run.ts'

const manual = `
Stands between your generator and your MTA: takes mail by SMTP, wraps its links, adds pixels, stamps
its ids, and hands it to the MTA in the same moment. It keeps no mail: what it answers is what the MTA
said, and nothing is accepted before the MTA accepted it.

  wrapper --out-hostport 127.0.0.1:25 --tracking-url https://track.example.com --link-keys FILE

Only clients on this machine may relay, unless --allow-networks names others or the MTA has
authenticated them (AUTH is passed through, under TLS).

SIGHUP reads --link-keys, --certfile and --privkeyfile anew. SIGTERM finishes the messages under way.
docs/wrapper.md has replies, limits and modes in full.
`

await run({
  name: 'wrapper',
  manual,
  options: wrapperOptions,
  validate: validateWrapper,
  start: startWrapper,
})
