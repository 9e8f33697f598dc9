/**
 * Connections to Redis, set up so that a dead, frozen or half-open server costs a bounded time and no memory: nothing
 * is queued while it is away, nothing is sent twice, everything is answered or fails.
 */
import { Redis, type RedisOptions } from 'ioredis'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { isLoopback } from '../network/loopback.ts'
import { StartError } from '../process/start-error.ts'
import { partitionsKey } from './partition.ts'

/** What a connection is for: each has its own, for one that waits must not hold up another. */
export type RedisRole = 'producer' | 'consumer' | 'store'

export interface RedisHooks {
  readonly log: Logger
  readonly health: Health
}

/** Longest that a command may take before it counts as failed, in milliseconds. */
const commandTimeoutMs = 200
/** Oldest Redis with XAUTOCLAIM, as major * 100 + minor. */
const versionMin = { number: 602, text: '6.2' }

/**
 * A connection that keeps trying for ever and never throws for a server that is away; commands fail at once while it
 * is. Health cause `redis`.
 * @param url redis://, rediss:// or unix:///path; may carry a password and is never repeated anywhere
 * @throws {StartError} when the text is no such URL
 */
export function connectRedis(url: string, role: RedisRole, hooks: RedisHooks): Redis {
  const options: ConnectionOptions = {
    ...addressOf(url),
    connectionName: `mta-tracking-${role}`,
    disableClientInfo: true,
    protocol: 2,
    connectTimeout: 2_000,
    // A server that is frozen or gone does not answer a goodbye.
    disconnectTimeout: 200,
    keepAlive: 10_000,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: 1_000,
    // One that has become a replica may not be the one any more to which the address leads.
    reconnectOnError: ({ message }) => isReplicaError(message),
    retryStrategy: attempt => Math.min(50 * 2 ** Math.min(attempt, 6), 1_000) * (0.8 + Math.random() * 0.4),
    // A net under `answered`, for whoever forgets it. No `blockingTimeout`: it answers a blocking read with "nothing"
    // 100 ms after its time, for ever, where a connection has gone silent; `answered` fails, and it is made anew.
    commandTimeout: 5_000,
  }
  const redis = new Redis(options)
  watch(redis, hooks)
  warnOfClearText(options, hooks)
  return redis
}

/** Within a script the code stands behind that of the script in older versions. */
function isReplicaError(message: string): boolean {
  return /^(?:ERR .*-)?READONLY /.test(message)
}

/** Whether a command was refused because its key holds another type. Within a script the code stands behind that of the script. */
export function isWrongType(error: unknown): boolean {
  return error instanceof Error && /^(?:ERR .*)?WRONGTYPE /.test(error.message)
}

/** What Redis answers; undefined where the key holds another type. */
export async function unlessWrongType<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isWrongType(error)) return undefined
    throw error
  }
}

/** Why connections are being made anew. */
const remade = new WeakMap<Redis, { readonly reason: string; readonly isTold: boolean }>()

/**
 * Cuts a connection and makes a new one: the way out of one whose other end is silently gone.
 * @param reason for log and health
 * @param isTold it is in the log already
 * @returns false when it is not there or is being made anew already
 */
export function reconnect(redis: Redis, reason = 'it does not answer', isTold = false): boolean {
  if (redis.status !== 'ready' || remade.has(redis)) return false
  remade.set(redis, { reason, isTold })
  redis.once('close', () => remade.delete(redis))
  redis.disconnect(true)
  return true
}

/** Connections of a process that are in trouble, by its health: the cause is cleared by the last that recovers. */
const troubled = new WeakMap<Health, Set<Redis>>()
/** Those of whose trouble the log tells. */
const told = new WeakSet<Health>()

function watch(redis: Redis, { log, health }: RedisHooks): void {
  const others = troubled.get(health) ?? new Set()
  troubled.set(health, others)
  const lost = 'the connection was closed'
  let lastReason = lost
  const failed = () => {
    if (!told.has(health) && !remade.get(redis)?.isTold) {
      told.add(health)
      log.warn({ reason: lastReason }, 'Redis is away, going on without it')
    }
    others.add(redis)
    health.set('redis', `Redis can't be reached (${lastReason}): check that it runs and --redis-url`)
  }
  const recovered = () => {
    if (!others.delete(redis) || others.size > 0) return
    health.set('redis', undefined)
    if (told.delete(health) && redis.status === 'ready') log.info('Redis is back')
  }
  redis.on('error', (error: Error) => {
    lastReason = redisReason(error)
    if (redis.status !== 'ready') failed()
  })
  redis.on('close', () => {
    lastReason = remade.get(redis)?.reason ?? lastReason
    if (redis.status !== 'end') failed()
  })
  redis.on('ready', () => {
    lastReason = lost
    recovered()
  })
  redis.on('end', recovered)
}

/** What went wrong, without what was sent: the arguments of a command may hold recipients or the password. */
export function redisReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  // How ioredis says that it is not connected, and that it was while the command was under way.
  if (/^(?:Stream isn't writeable|Connection is closed)/.test(message)) return 'not connected'
  if (message.startsWith('Reached the max retries')) return 'the connection was closed'
  // Behind `script:` stands only which of our scripts it was.
  return code ?? message.split(/\n|, with args| script: /)[0]!.slice(0, 120)
}

/** Redis did not answer in time. What was sent may still be executed. */
export class RedisTimeout extends Error {
  override readonly name = 'RedisTimeout'
}

/**
 * The answer to a command or pipeline, or a rejection after `timeoutMs`. Every command is raced like this: ioredis 6.0.0
 * may leave one that was under way when the connection broke without any answer (redis/ioredis#2193).
 */
export function answered<T>(answer: Promise<T>, timeoutMs: number = commandTimeoutMs): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new RedisTimeout(`no answer within ${timeoutMs} ms`)), timeoutMs)
    answer.then(
      value => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

/** Recipients and passwords travel on this connection. */
function warnOfClearText({ host, tls }: ConnectionOptions, hooks: RedisHooks): void {
  if (host === undefined || tls || isLoopback(host)) return
  warnOnce(hooks, 'Redis is on another machine and not encrypted: use rediss://, a tunnel, or a network of its own')
}

type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>

function addressOf(text: string): ConnectionOptions {
  // No error repeats the text or any part of it: it may hold the password.
  if (!URL.canParse(text)) throw badUrl()
  const url = new URL(text)
  const credentials: ConnectionOptions = {
    ...(url.username === '' ? {} : { username: decoded(url.username) }),
    ...(url.password === '' ? {} : { password: decoded(url.password) }),
  }
  if (url.protocol === 'unix:') {
    const db = Number(url.searchParams.get('db') ?? 0)
    if (url.pathname.length < 2 || !Number.isSafeInteger(db)) throw badUrl()
    return { ...credentials, path: decoded(url.pathname), db }
  }
  const db = url.pathname === '' ? 0 : Number(url.pathname.slice(1))
  if (!/^rediss?:$/.test(url.protocol) || url.hostname === '' || !Number.isSafeInteger(db)) throw badUrl()
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return {
    ...credentials,
    host,
    port: url.port === '' ? 6379 : Number(url.port),
    db,
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new StartError('--redis-url: a % in user name, password or path is written as %25')
  }
}

function badUrl(): StartError {
  return new StartError('--redis-url: expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=N')
}

/** What `checkRedis` learned. */
export interface RedisSetup {
  /** Whether it writes an append-only file; undefined when it does not say. */
  readonly appendOnly: boolean | undefined
  /**
   * Tells one run of a server from its next and from other servers, and from itself before it was the replica of another;
   * undefined when it does not say.
   */
  readonly runId: string | undefined
  /** The second half of that. */
  readonly replicationId: string | undefined
  /** How much its clock is ahead of performance.now here, in milliseconds, at most; undefined when it does not say. */
  readonly clockAheadMs: number | undefined
}

const warned = new WeakMap<Health, Set<string>>()

/** Warns once a process, however many connections it has. */
function warnOnce({ log, health }: RedisHooks, text: string): void {
  const texts = warned.get(health) ?? new Set()
  warned.set(health, texts)
  if (!texts.has(text)) log.warn(text)
  texts.add(text)
}

/**
 * Checks that this Redis can hold the queue: new enough, evicts nothing, writes an append-only file (else a warning).
 * @throws {StartError} when it is too old, its policy would delete waiting events or it has no such database; each names
 *   the fix
 * @throws Error when it does not answer, or is a replica at the moment
 */
export async function checkRedis(redis: Redis, hooks: RedisHooks): Promise<RedisSetup> {
  const askedAt = performance.now()
  const [info, memory, persistence, { isReplica, replicationId }] = await Promise.all([
    infoSection(redis, 'server'),
    infoSection(redis, 'memory'),
    infoSection(redis, 'persistence'),
    replicationOf(redis),
  ])
  await selectDatabase(redis)
  if (isReplica) throw new Error('it is a replica: name its master')
  const version = infoField(info, 'redis_version')
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number)
  if (version !== undefined && major * 100 + minor < versionMin.number) {
    throw new StartError(`Redis ${version} is too old for the queue: install ${versionMin.text} or newer`)
  }
  // INFO tells the policy too, and unlike CONFIG managed services don't forbid it.
  const policy = infoField(memory, 'maxmemory_policy') ?? (await configValue(redis, 'maxmemory-policy'))
  if (policy === undefined) {
    warnOnce(
      hooks,
      'Redis does not tell its maxmemory-policy: make sure that it is noeviction, else events are deleted',
    )
  } else if (policy !== 'noeviction') {
    throw new StartError(
      `Redis deletes waiting events when its memory is full (maxmemory-policy ${policy}): ` +
        `set "maxmemory-policy noeviction" in redis.conf, or run CONFIG SET maxmemory-policy noeviction`,
    )
  }
  const appendOnly = infoField(persistence, 'aof_enabled')
  const clock = infoField(info, 'server_time_usec')
  if (appendOnly === '0') {
    warnOnce(
      hooks,
      'Redis keeps the queue in memory only: its restart loses every waiting event and record; ' +
        'set "appendonly yes" in redis.conf, or run CONFIG SET appendonly yes',
    )
  }
  return {
    appendOnly: appendOnly === undefined ? undefined : appendOnly !== '0',
    runId: [infoField(info, 'run_id') ?? [], replicationId ?? []].flat().join(' ') || undefined,
    replicationId,
    clockAheadMs: clock === undefined ? undefined : Number(clock) / 1_000 - askedAt,
  }
}

export interface Replication {
  /** False also where it does not say. */
  readonly isReplica: boolean
  /** New with each master that the server has followed, and each time that it becomes one; undefined where it does not say. */
  readonly replicationId: string | undefined
}

/** A server's part in replication. @throws Error when it does not answer in time */
export async function replicationOf(redis: Redis, timeoutMs = commandTimeoutMs): Promise<Replication> {
  const info = await infoSection(redis, 'replication', timeoutMs)
  return { isReplica: infoField(info, 'role') === 'slave', replicationId: infoField(info, 'master_replid') }
}

/**
 * ioredis goes on with database 0 where it can't have the one that it was told, without a word.
 * @throws {StartError} when there is no such database
 */
async function selectDatabase(redis: Redis): Promise<void> {
  const db = redis.options.db ?? 0
  if (db === 0) return
  try {
    await answered(redis.select(db))
  } catch (error) {
    const { message } = error as Error
    if (!message.startsWith('ERR')) throw error
    throw new StartError(
      `--redis-url: Redis has no database ${db} (${redisReason(error)}): leave it out or name another`,
    )
  }
}

/** A section of INFO; empty where that is forbidden. */
async function infoSection(redis: Redis, section: string, timeoutMs?: number): Promise<string> {
  try {
    return await answered(redis.info(section), timeoutMs)
  } catch (error) {
    if (/^(?:NOPERM|ERR unknown command)/.test((error as Error).message)) return ''
    throw error
  }
}

function infoField(info: string, field: string): string | undefined {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1]
}

async function configValue(redis: Redis, name: string): Promise<string | undefined> {
  try {
    const [, value] = await answered(redis.config('GET', name))
    return value
  } catch {
    return undefined
  }
}

/**
 * The number of partitions that all processes on this Redis use: the first ever to ask sets its own wish.
 * @throws Error when Redis does not answer
 */
export async function agreedPartitions(redis: Redis, wanted: number): Promise<number> {
  // Asked first, for a Redis that is full refuses to set anything, and yet must be drained.
  let text = await answered(redis.get(partitionsKey))
  if (text === null) {
    await answered(redis.set(partitionsKey, wanted, 'NX'))
    text = await answered(redis.get(partitionsKey))
  }
  const agreed = Number(text)
  if (!Number.isSafeInteger(agreed) || agreed < 1 || agreed > partitionsMax) {
    throw new StartError(`Redis key ${partitionsKey} does not hold a number from 1 to ${partitionsMax}: delete it`)
  }
  return agreed
}

/** Most partitions that a queue can have. */
const partitionsMax = 256
