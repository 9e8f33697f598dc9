/**
 * Which processes make up the pipeline and how each is started: from the one configuration file that they all read, with
 * the environment over it, exactly as each of them will read it.
 */
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { isLoopback } from '../network/loopback.ts'
import { commonOptions } from '../process/common-options.ts'
import { formatHostPort, type HostPort, type OptionTable } from '../process/option.ts'
import { readSettings, SettingsError } from '../process/settings.ts'

/** The processes that can run under the supervisor, in the order of their start. acct_etl is started by the MTA. */
export const supervisable = ['console', 'tracker', 'feeder', 'agent', 'wrapper'] as const
export type Supervisable = (typeof supervisable)[number]

export interface ChildPlan {
  readonly name: Supervisable | 'redis'
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Where `/health` is asked, `HOST:PORT`; for Redis a unix socket. */
  readonly health: string
  /** What it listens on or reads from or sends to, for people; what others connect to comes first. */
  readonly listens: readonly { readonly what: string; readonly where: string }[]
  /** Where its log lines go. */
  readonly logFile: string
}

export interface PipelinePlan {
  readonly children: readonly ChildPlan[]
  readonly configFile: string
  /** To be made when it is missing; undefined when nothing that runs makes or follows links. */
  readonly linkKeysFile: string | undefined
}

export interface PlanInput {
  /** The checkout; working directory of every child. */
  readonly root: string
  readonly node: string
  readonly configFile: string
  /** Folder for everything that is written, absolute. */
  readonly stateDir: string
  readonly run: readonly Supervisable[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** What each process can be told. */
  readonly options: Readonly<Record<Supervisable, OptionTable>>
}

/** Longest path of a unix socket, sun_path less its ending NUL (unix(7)). */
const socketPathBytesMax = 107

/** Where `/health` is served unless the user says; on loopback. */
const healthPorts: Readonly<Record<Supervisable, number>> = {
  agent: 9113,
  wrapper: 9114,
  tracker: 9115,
  feeder: 9116,
  console: 9117,
}

const usesRedis: ReadonlySet<Supervisable> = new Set(['tracker', 'feeder', 'wrapper'])
const usesLinkKeys: ReadonlySet<Supervisable> = new Set(['tracker', 'wrapper'])

/** Keys of the services that events are uploaded to, by the process that needs one. */
const uploadKeys: Readonly<Partial<Record<Supervisable, string>>> = {
  feeder: 'SPARKPOST_API_KEY_INGEST',
  agent: 'SENDPOST_API_KEY',
}

/** @throws {SettingsError} with a line for each process whose settings are wrong */
export function planPipeline(input: PlanInput): PipelinePlan {
  const { root, stateDir, configFile } = input
  const redis = planRedis(stateDir)
  const ownLinkKeys = join(stateDir, 'link-keys')
  const settings = readEach(input, { 'redis-url': redis.url, 'link-keys': ownLinkKeys })

  const children: ChildPlan[] = []
  let linkKeysFile: string | undefined
  for (const [name, of] of settings) {
    const env: Record<string, string> = {}
    if (usesRedis.has(name) && of['redisUrl'] === redis.url) env['REDIS_URL'] = redis.url
    if (usesLinkKeys.has(name)) {
      linkKeysFile ??= resolve(root, asText(of['linkKeys']) ?? ownLinkKeys)
      if (of['linkKeys'] === ownLinkKeys) env['LINK_KEYS_FILE'] = ownLinkKeys
    }
    const uploadKey = uploadKeys[name]
    if (uploadKey !== undefined && isKeyless(of)) {
      env[uploadKey] = asText(settings.get('console')?.['apiKey']) ?? 'local'
    }
    children.push(planChild(input, name, of, env))
  }
  if (children.some(child => child.env['REDIS_URL'] !== undefined)) children.unshift(redis.child)
  return { children, configFile, linkKeysFile }
}

/** The settings of a process, by their names in camel case. */
type AnySettings = Readonly<Record<string, unknown>>

/** A text, or a list of them with commas. */
function asText(value: unknown): string | undefined {
  return Array.isArray(value) ? value.join(',') : typeof value === 'string' ? value : undefined
}

/** @param defaults in place of the declared ones, by the names of options */
function readEach(
  { run, configFile, env, options }: PlanInput,
  defaults: Readonly<Record<'redis-url' | 'link-keys', string>>,
): ReadonlyMap<Supervisable, AnySettings> {
  const common: OptionTable = {
    'redis-url': { ...commonOptions['redis-url'], default: defaults['redis-url'] },
    'link-keys': { ...commonOptions['link-keys'], default: defaults['link-keys'] },
  }
  const found = new Map<Supervisable, AnySettings>()
  /** What is wrong, and with whom: one line of the file may be wrong for all. */
  const wrong = new Map<string, Supervisable[]>()
  for (const name of supervisable.filter(candidate => run.includes(candidate))) {
    try {
      const program = { name, manual: '', options: { ...options[name], ...common } }
      found.set(name, readSettings(program, ['--config', configFile], env, '').settings)
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error
      wrong.set(error.message, [...(wrong.get(error.message) ?? []), name])
    }
  }
  const reasons = [...wrong].map(([reason, names]) => `${names.join(', ')}: ${reason}`)
  if (reasons.length > 0) throw new SettingsError(reasons.join('\n'))
  return found
}

function planChild(
  { node, configFile, stateDir }: PlanInput,
  name: Supervisable,
  settings: AnySettings,
  env: Readonly<Record<string, string>>,
): ChildPlan {
  const metrics = settings['metricsHostport'] as HostPort | undefined
  const ownMetrics = `127.0.0.1:${healthPorts[name]}`
  const logFile = settings['logfile'] as string | undefined
  const ownLogFile = join(stateDir, 'log', `${name}.log`)
  return {
    name,
    command: node,
    args: [
      join('cmd', `${name}.ts`),
      ...['--config', configFile],
      ...(metrics === undefined ? ['--metrics-hostport', ownMetrics] : []),
      ...(logFile === undefined ? ['--logfile', ownLogFile] : []),
    ],
    env,
    health: metrics === undefined ? ownMetrics : reachable(metrics),
    listens: listensOf(name, settings),
    logFile: logFile ?? ownLogFile,
  }
}

/** Whether events go to this machine and no key was given: the console takes any, a real service's is the user's to give. */
function isKeyless(settings: AnySettings): boolean {
  const endpoint = URL.parse(asText(settings['endpoint']) ?? '')
  return (
    settings['apiKey'] === undefined &&
    settings['apiKeyFile'] === undefined &&
    endpoint?.protocol === 'http:' &&
    isLoopback(endpoint.hostname)
  )
}

function listensOf(name: Supervisable, settings: AnySettings): ChildPlan['listens'] {
  const at = (setting: string) => reachable(settings[setting] as HostPort)
  const endpoint = shownUrl(asText(settings['endpoint']) ?? 'https://api.sparkpost.com')
  switch (name) {
    case 'console':
      return [
        { what: 'events and caught mail', where: `http://${at('inHostport')}` },
        { what: 'mailbox that catches everything, SMTP', where: at('smtpHostport') },
      ]
    case 'tracker':
      return [{ what: 'opens and clicks', where: `http://${at('inHostport')}` }]
    case 'feeder':
      return [{ what: 'events are uploaded there', where: endpoint }]
    case 'agent':
      return [
        { what: 'is read', where: asText(settings['logPath']) ?? '' },
        { what: 'events are uploaded there', where: endpoint },
      ]
    default:
      return [
        { what: 'send your mail here, SMTP', where: at('inHostport') },
        { what: 'your MTA', where: at('outHostport') },
      ]
  }
}

/** Without what follows a `?`, where some services want their token. */
function shownUrl(url: string): string {
  return url.replace(/\?.*/s, '?…')
}

/** Where a listener on every address is reached from this machine. */
function reachable({ host, port }: HostPort): string {
  const loopback: Readonly<Record<string, string>> = { '': '127.0.0.1', '0.0.0.0': '127.0.0.1', '::': '::1' }
  return formatHostPort({ host: loopback[host] ?? host, port })
}

/** A Redis of our own: own folder, unix socket only, append-only file on, nothing ever evicted. */
function planRedis(stateDir: string): { child: ChildPlan; url: string } {
  const dir = join(stateDir, 'redis')
  let socket = join(dir, 'redis.sock')
  if (Buffer.byteLength(socket) > socketPathBytesMax) {
    const name = createHash('sha256').update(dir).digest('hex').slice(0, 16)
    socket = join(tmpdir(), `mta-tracking-${name}`, 'redis.sock')
  }
  const logFile = join(stateDir, 'log', 'redis.log')
  const settings: Readonly<Record<string, string>> = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir,
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    'maxmemory-policy': 'noeviction',
    daemonize: 'no',
    logfile: logFile,
  }
  return {
    url: `unix://${encodeURI(socket).replaceAll('?', '%3F').replaceAll('#', '%23')}`,
    child: {
      name: 'redis',
      command: 'redis-server',
      args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      env: {},
      health: socket,
      listens: [{ what: 'queue and records, private', where: socket }],
      logFile,
    },
  }
}
