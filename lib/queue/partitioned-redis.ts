/** A connection that has been checked and knows how many partitions all processes on that Redis use. */
import type { Redis } from 'ioredis'
import { StartError } from '../process/start-error.ts'
import {
  agreedPartitions,
  answered,
  checkRedis,
  connectRedis,
  reconnect,
  redisReason,
  replicationOf,
  RedisTimeout,
  type RedisHooks,
  type RedisRole,
} from './redis.ts'

export interface PartitionedRedisOptions extends RedisHooks {
  readonly redisUrl: string
  readonly role: RedisRole
  /** What this process wants when it is the first ever on this Redis. */
  readonly partitions: number
  /** Called each time that the connection has become usable, also after another server took the place of the first. */
  readonly onUsable?: () => void
}

/** How long a start waits for Redis before it goes on without, in milliseconds. */
const startMsMax = 2_000
/** Failed connections after which it does so at once. */
const startFailuresMax = 3
/** Commands in a row without an answer after which the other end is taken for gone. */
const timeoutsMax = 2
/** How often a Redis that is not fit is looked at again, in milliseconds: its settings can be changed while it runs. */
const recheckMs = 2_000
/** How often it is asked whether it still answers, in milliseconds. */
const lookMs = 1_000
/** How long that answer may take, in milliseconds: a process that is short of CPU reads it late. */
const lookWaitMs = 2_000
/** How long it waits to try again with one that refuses to work, in milliseconds. */
const retryMs = 500

export class PartitionedRedis {
  readonly redis: Redis
  /** As agreed; until Redis was first reached, as wanted. */
  partitions: number
  /** Whether the server writes an append-only file; undefined while unknown. */
  appendOnly: boolean | undefined
  /** Which run of Redis this is; where it does not tell, each connection counts as one. Empty until one was reached. */
  runId = ''
  /** How much the clock of this run is ahead of performance.now, in milliseconds, at most; Infinity while unknown. */
  clockAheadMs = Infinity
  #connections = 0
  #replicationId: string | undefined
  #isPrepared = false
  /** Why it can't be used, as it was told. */
  #unfit: string | undefined
  #isAgreed = false
  #failures = 0
  #timeouts = 0
  #isLooking = false
  readonly #watch: NodeJS.Timeout
  readonly #options: PartitionedRedisOptions
  readonly #settled: Promise<void>
  #settle: (refused?: StartError) => void = () => undefined

  private constructor(options: PartitionedRedisOptions) {
    this.#options = options
    this.partitions = options.partitions
    this.#settled = new Promise((resolve, reject) => {
      this.#settle = refused => (refused ? reject(refused) : resolve())
    })
    this.redis = connectRedis(options.redisUrl, options.role, options)
    this.redis.on('ready', () => void this.#prepare())
    this.#watch = setInterval(() => void this.#look(), lookMs)
    this.#watch.unref()
    this.redis.on('close', () => {
      this.#isPrepared = false
      if (++this.#failures >= startFailuresMax) this.#settle()
    })
  }

  /**
   * Settles when Redis was checked, or when it is away (three attempts, 2 s): then it is checked when it comes.
   * @throws {StartError} when it can't hold the queue (see `checkRedis`)
   */
  static async open(options: PartitionedRedisOptions): Promise<PartitionedRedis> {
    const connection = new PartitionedRedis(options)
    const timer = setTimeout(() => connection.#settle(), startMsMax)
    try {
      await connection.#settled
      return connection
    } catch (error) {
      connection.close()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Whether a command sent now has a chance. */
  get isUsable(): boolean {
    return this.#isPrepared && this.redis.status === 'ready'
  }

  /**
   * The answer to a command on this connection, or a rejection after `timeoutMs`. After a few such rejections in a row
   * the connection is made anew.
   */
  async answer<T>(command: Promise<T>, timeoutMs: number): Promise<T> {
    try {
      const value = await answered(command, timeoutMs)
      this.#timeouts = 0
      return value
    } catch (error) {
      if (error instanceof RedisTimeout && ++this.#timeouts >= timeoutsMax) {
        this.#timeouts = 0
        this.reconnect()
      }
      throw error
    }
  }

  /** Cuts the connection and makes a new one: the way out of a connection whose other end is silently gone. */
  reconnect(reason?: string): void {
    this.#isPrepared = false
    // Who knows the reason has told it.
    reconnect(this.redis, reason, reason !== undefined)
  }

  close(): void {
    clearInterval(this.#watch)
    this.redis.disconnect()
  }

  /**
   * A server that is frozen or cut off is found out also while there is nothing to ask it, and so is one that follows
   * another, or did for a while: it answers, but what it had confirmed may be gone.
   */
  async #look(): Promise<void> {
    if (this.#isLooking || !this.isUsable) return
    this.#isLooking = true
    const { runId } = this
    try {
      const { isReplica, replicationId } = await this.answer(replicationOf(this.redis, lookWaitMs), lookWaitMs)
      if (runId !== this.runId || !this.isUsable) return
      if (isReplica) this.reconnect('it has become a replica')
      else if (replicationId !== this.#replicationId) {
        this.#options.log.info('the history of this Redis is another than before: asking it what it has')
        this.reconnect('its history has changed')
      }
    } catch {
      // Only silence counts, and `answer` has counted it.
    } finally {
      this.#isLooking = false
    }
  }

  async #prepare(): Promise<void> {
    const { log, health, partitions } = this.#options
    try {
      const setup = await checkRedis(this.redis, this.#options)
      this.appendOnly = setup.appendOnly
      this.clockAheadMs = setup.clockAheadMs ?? Infinity
      this.#replicationId = setup.replicationId
      this.runId = setup.runId ?? `connection ${++this.#connections}`
      const agreed = await agreedPartitions(this.redis, this.#isAgreed ? this.partitions : partitions)
      if (this.#isAgreed && agreed !== this.partitions) {
        log.warn({ before: this.partitions, now: agreed }, 'the number of partitions has changed, following it')
      }
      this.partitions = agreed
      this.#isAgreed = true
      this.#isPrepared = true
      health.set('redis-setup', undefined)
      if (this.#unfit !== undefined) log.info('Redis can be used again')
      this.#unfit = undefined
      this.#settle()
    } catch (error) {
      if (error instanceof StartError) {
        this.#settle(error)
        // Reached only later: too late to refuse the start, and what is wrong may be mended without a restart.
        health.set('redis-setup', error.message)
        log.error({ reason: error.message }, 'this Redis is not fit for the queue')
        setTimeout(() => this.redis.status === 'ready' && void this.#prepare(), recheckMs).unref()
      } else if (this.redis.status === 'ready') {
        const reason = redisReason(error)
        health.set('redis-setup', `Redis is there but can't be used (${reason}): trying again`)
        if (reason !== this.#unfit) log.warn({ reason }, "Redis is there but can't be used, trying again")
        this.#unfit = reason
        setTimeout(() => this.reconnect(reason), retryMs).unref()
      }
      return
    }
    this.#options.onUsable?.()
  }
}
