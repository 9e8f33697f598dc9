/** The agent's settings. */
import {
  bytes,
  duration,
  flag,
  hostPort,
  integer,
  listOf,
  oneOf,
  option,
  path,
  text,
  wait,
} from '../../process/option.ts'
import { endpoint } from '../upload/endpoint.ts'
import { TimeZone } from './time-zone.ts'

const zone = {
  placeholder: 'ZONE',
  read: (name: string) => {
    try {
      return new TimeZone(name)
    } catch {
      throw new Error('expected a time zone such as UTC or Europe/Berlin')
    }
  },
}

export const agentOptions = {
  'api-key': option(text, {
    help: 'Event ingestion key. Better given by --api-key-file or by the environment: options can be seen by every user of the machine.',
    env: 'SENDPOST_API_KEY',
    secret: true,
  }),
  'api-key-file': option(path, { help: 'File that holds the event ingestion key; read anew when the key is refused.' }),
  mta: option(oneOf('postfix', 'powermta'), { help: 'Whose log it is.', default: 'postfix' }),
  endpoint: option(endpoint, {
    help: 'Where events are posted to.',
    default: 'https://events.sendpost.io/api/v1/tpsp/custom-smtp/events',
    // What is refused may hold a password.
    secret: true,
  }),
  'log-path': option(listOf(path), {
    help: 'The log: a file, several or globs, separated by commas; "-" is standard input, "journald" follows the systemd journal.',
    default: '/var/log/mail.log',
  }),
  'log-timezone': option(zone, {
    help: 'Time zone of log lines that bear none (traditional syslog). That of this machine unless set.',
  }),
  'from-beginning': option(flag, {
    help: 'At the very first start report what the log holds already; otherwise it only teaches which messages are under way.',
    default: 'false',
  }),
  'state-dir': option(path, {
    help: 'Where the place in the log and pending events are kept.',
    default: '/var/lib/sendpost-agent',
  }),
  'wal-max-bytes': option(bytes, {
    help: 'Most disk space for pending events; when it is full, reading stops until some are uploaded.',
    default: '100MB',
  }),
  'batch-events': option(integer(1, 1000), { help: 'Most events in a request.', default: '100' }),
  'batch-age': option(wait, { help: 'How long an event waits for others.', default: '5s' }),
  'rotate-wait': option(wait, {
    help: 'How long a file that was rotated is still followed: the logger writes to it until it is told.',
    default: '5s',
  }),
  deferred: option(flag, {
    help: 'Report deferrals (the service accepts them and does not store them).',
    default: 'true',
  }),
  'deferred-interval': option(duration, {
    help: 'Least time between two reports of a deferral of the same message to the same recipient; 0 reports all.',
    default: '0s',
  }),
  'bounce-class': option(oneOf('postfix', 'table'), {
    help: 'postfix: a bounce is bounced, as Postfix says. table: soft_bounced where code and text speak of a full mailbox, a quota, a rate or greylisting (docs/agent.md).',
    default: 'postfix',
  }),
  'hop-relay': option(listOf(text), {
    help: 'Relays that only pass a message on (a content filter by pipe): "sent" to them is no delivery. As in the log after relay=, with or without [address]:port.',
  }),
  'map-ttl': option(duration, {
    help: 'How long a queue id is remembered after its last sign of life. Not less than maximal_queue_lifetime of Postfix, else expiries and late deliveries are lost.',
    default: '5d',
  }),
  'map-max-entries': option(integer(1000, 10_000_000), {
    help: 'Queue ids remembered at once; past it the oldest are forgotten.',
    default: '500000',
  }),
  'metrics-hostport': option(hostPort, {
    help: 'Where /health and /metrics are served.',
    default: '127.0.0.1:9113',
  }),
}

/** Of the commands that look at logs and send nothing: the same names, so that the same configuration file serves. */
export const inspectOptions = {
  ...agentOptions,
  'dry-run': option(flag, {
    help: 'Read the files from their beginning, send nothing, keep nothing, print one JSON line per event.',
    default: 'false',
  }),
  explain: option(text, { help: 'Show each line that decided what became of a queue id or UUID, and how.' }),
  doctor: option(flag, { help: 'Check the Postfix installation of this machine and how it logs.', default: 'false' }),
  'postfix-config': option(path, { help: 'Configuration folder that --doctor looks at.' }),
  // Another agent may be serving there.
  'metrics-hostport': option({ ...hostPort, read: () => undefined }, { help: 'Not served here.' }),
}

/** Whether the command line asks for one of those. */
export function asksToInspect(argv: readonly string[]): boolean {
  return argv.some(word => /^--?(?:dry[-_]run|explain|doctor)(?:=|$)/.test(word))
}
