/** The settings of the wrapper. */
import {
  bytes,
  duration,
  flag,
  hostPort,
  integer,
  listOf,
  network,
  oneOf,
  option,
  path,
  text,
  trackingUrl,
  type OptionTable,
} from '../../process/option.ts'

export const wrapperOptions = {
  'in-hostport': option(hostPort, { help: 'Where it listens for SMTP.', default: 'localhost:587' }),
  'in-tls': option(oneOf('starttls', 'implicit'), {
    help: 'With a certificate: offer STARTTLS, or speak TLS from the first byte (as on port 465).',
    default: 'starttls',
  }),
  'out-hostport': option(hostPort, { help: 'The MTA that it relays to.', required: true }),
  'out-tls': option(oneOf('none', 'opportunistic', 'required', 'implicit'), {
    help: 'TLS towards the MTA: never, STARTTLS where offered, STARTTLS or nothing, TLS from the first byte.',
    default: 'opportunistic',
  }),
  'insecure-skip-verify': option(flag, {
    help: "Take any certificate from the MTA. An MTA on loopback isn't asked for a valid one anyway when TLS is opportunistic.",
    default: 'false',
  }),
  certfile: option(path, { help: 'Certificate chain (PEM) for TLS towards clients; read again on SIGHUP.' }),
  privkeyfile: option(path, { help: 'Private key (PEM) of the certificate.' }),
  'allow-networks': option(listOf(network), {
    help: 'Clients that may relay without AUTH.',
    default: '127.0.0.0/8,::1/128',
  }),
  name: option(text, { help: 'What it calls itself in greeting and EHLO; the name of the machine otherwise.' }),
  'tracking-url': option(trackingUrl, {
    help: 'Public address of the tracker, the beginning of every link.',
    env: 'TRACKING_URL',
  }),
  'track-open': option(flag, { help: 'Add a pixel at the end of the message.', default: 'true' }),
  'track-initial-open': option(flag, { help: 'Add a pixel at the beginning of the message.', default: 'false' }),
  'track-click': option(flag, { help: 'Wrap links.', default: 'true' }),
  'track-text': option(flag, { help: 'Wrap links in plain text too.', default: 'false' }),
  'honeypot-link': option(flag, {
    help: 'Put a link that no human sees into HTML with wrapped links: who follows it is a machine.',
    default: 'false',
  }),
  'dkim-signed': option(oneOf('pass', 'wrap'), {
    help: 'A message that carries a DKIM signature: leave it untracked, or wrap it (which breaks the signature).',
    default: 'pass',
  }),
  'list-unsubscribe': option(oneOf('off', 'mailto', 'https', 'both'), {
    help: 'Stamp List-Unsubscribe fields where the generator set none.',
    default: 'off',
  }),
  'list-unsubscribe-mailto': option(text, { help: 'Address that takes unsubscribe requests by mail.' }),
  'multi-recipient': option(oneOf('split', 'shared', 'refuse'), {
    help: 'Several recipients of one message: a copy with links of its own for each, the same copy for all, or one at a time (452).',
    default: 'split',
  }),
  'stray-line-ends': option(oneOf('normalise', 'refuse'), {
    help: 'A bare CR or LF in a message: LF becomes CRLF and CR a space, or the message is refused (550).',
    default: 'normalise',
  }),
  'record-ttl': option(duration, { help: 'How long what is known of a message is kept in Redis.', default: '10d' }),
  'max-message-bytes': option(bytes, {
    help: 'Largest message that is taken, unless the MTA takes less.',
    default: '25MiB',
  }),
  'max-recipients': option(integer(1, 100_000), { help: 'Recipients of one message.', default: '1000' }),
  'max-connections': option(integer(1, 100_000), { help: 'Client connections at a time.', default: '200' }),
  'max-connections-per-address': option(integer(1, 100_000), {
    help: 'Client connections at a time from one address outside --allow-networks.',
    default: '50',
  }),
  processes: option(integer(1, 64), {
    help: 'Processes that share the port, for more than one core; connections are counted in each.',
    default: '1',
  }),
  verbose: option(flag, { help: 'Log each session and message (the same as --log-level debug).', default: 'false' }),
  'downstream-debug': option(path, {
    help: 'File that gets the SMTP conversation with clients, addresses included, credentials removed.',
  }),
  'upstream-data-debug': option(path, { help: 'File that gets what is sent to the MTA as message data.' }),
} satisfies OptionTable
