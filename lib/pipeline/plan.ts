/**
 * Which processes make up the pipeline and how each is started: read from the one configuration file that they all read.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import { SettingsError } from '../process/settings.ts'

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
  /** What it listens on, for people. */
  readonly listens: readonly { readonly what: string; readonly where: string }[]
  /** Where its log lines go. */
  readonly logFile: string
}

export interface PipelinePlan {
  readonly children: readonly ChildPlan[]
  readonly configFile: string
  readonly linkKeysFile: string
  /** Where a sample mail is sent to, `HOST:PORT`; undefined when no wrapper runs. */
  readonly wrapper: string | undefined
  readonly console: string | undefined
  readonly tracker: string | undefined
}

/** Longest path of a unix socket, sun_path less its ending NUL (unix(7)). */
const socketPathBytesMax = 107

const healthPorts: Readonly<Record<Supervisable, number>> = {
  agent: 9113,
  wrapper: 9114,
  tracker: 9115,
  feeder: 9116,
  console: 9117,
}

/** What a process listens on when the file does not say, as `../../cmd` declares it. */
const listeners: Readonly<
  Record<Supervisable, readonly { setting: string; fallback: string; what: string; url?: true }[]>
> = {
  console: [
    { setting: 'in-hostport', fallback: '127.0.0.1:8025', what: 'events and caught mail', url: true },
    { setting: 'smtp-hostport', fallback: '127.0.0.1:2525', what: 'mailbox that catches everything, SMTP' },
  ],
  tracker: [{ setting: 'in-hostport', fallback: '127.0.0.1:8888', what: 'opens and clicks', url: true }],
  feeder: [],
  agent: [],
  wrapper: [{ setting: 'in-hostport', fallback: 'localhost:587', what: 'send your mail here, SMTP' }],
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
}

/** @throws {SettingsError} when the file can't be read or is no mapping */
export function planPipeline(input: PlanInput): PipelinePlan {
  const { root, node, stateDir, configFile } = input
  const config = readSections(configFile)
  const at = (name: Supervisable, setting: string): string | undefined =>
    asText(config.sections[name]?.[setting]) ?? asText(config.top[setting])

  const children: ChildPlan[] = []
  const env: Record<string, string> = {}
  if (config.top['redis-url'] === undefined && input.env['REDIS_URL'] === undefined) {
    const redis = planRedis(stateDir)
    children.push(redis.child)
    env['REDIS_URL'] = redis.url
  }
  // The local console takes any key unless it was given one; a real service's key comes from the user's environment.
  const endpoint = at('feeder', 'endpoint') ?? input.env['SPARKPOST_HOST_INGEST'] ?? ''
  if (input.env['SPARKPOST_API_KEY_INGEST'] === undefined && /^http:\/\/(?:127\.|localhost|\[::1\])/.test(endpoint)) {
    env['SPARKPOST_API_KEY_INGEST'] = input.env['CONSOLE_API_KEY'] ?? 'local'
  }

  for (const name of supervisable.filter(candidate => input.run.includes(candidate))) {
    const health = at(name, 'metrics-hostport') ?? `127.0.0.1:${healthPorts[name]}`
    const logFile = at(name, 'logfile') ?? join(stateDir, 'log', `${name}.log`)
    children.push({
      name,
      command: node,
      args: [
        join('cmd', `${name}.ts`),
        '--config',
        configFile,
        ...(at(name, 'metrics-hostport') === undefined ? ['--metrics-hostport', health] : []),
        ...(at(name, 'logfile') === undefined ? ['--logfile', logFile] : []),
      ],
      env,
      health,
      listens: listeners[name].map(({ setting, fallback, what, url }) => {
        const where = at(name, setting) ?? fallback
        return { what, where: url ? `http://${where}` : where }
      }),
      logFile,
    })
  }
  const where = (name: Supervisable, setting: string) =>
    input.run.includes(name)
      ? (at(name, setting) ?? listeners[name].find(listener => listener.setting === setting)?.fallback)
      : undefined
  return {
    children,
    configFile,
    linkKeysFile: resolve(
      root,
      at('wrapper', 'link-keys') ?? input.env['LINK_KEYS_FILE'] ?? join(stateDir, 'link-keys'),
    ),
    wrapper: where('wrapper', 'in-hostport'),
    console: where('console', 'in-hostport'),
    tracker: where('tracker', 'in-hostport'),
  }
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
    url: `unix://${socket}`,
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

interface Sections {
  readonly top: Readonly<Record<string, unknown>>
  readonly sections: Readonly<Partial<Record<string, Readonly<Record<string, unknown>>>>>
}

function readSections(file: string): Sections {
  let document: unknown
  try {
    document = parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new SettingsError(`${file}: ${(error as Error).message.split('\n')[0]}`)
  }
  if (document === null || document === undefined) return { top: {}, sections: {} }
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw new SettingsError(`${file}:1: expected lines of the form name: value`)
  }
  const top: Record<string, unknown> = {}
  const sections: Partial<Record<string, Readonly<Record<string, unknown>>>> = {}
  for (const [key, value] of Object.entries(document)) {
    const name = key.replaceAll('_', '-')
    if (typeof value !== 'object' || value === null) top[name] = value
    else sections[key] = Object.fromEntries(Object.entries(value).map(([k, v]) => [k.replaceAll('_', '-'), v]))
  }
  return { top, sections }
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
}
