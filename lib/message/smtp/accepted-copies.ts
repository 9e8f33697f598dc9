/**
 * Remembers which copies of a message the upstream has accepted, for when it accepts only some: the client is told to
 * send again, and its retry sends only what is missing. Kept in Redis for a day after the last attempt, and in this
 * process as well, so that Redis may be away; only a retry through another process while Redis is away sends a copy twice.
 *
 * Once all copies are accepted nothing is remembered: the same message sent again on purpose is sent again. A message
 * without Message-ID and Date is never remembered, for another with the same bytes may be another message.
 */
import { createHash } from 'node:crypto'
import { Counter, type Registry } from '../../process/prometheus.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { partitionKeys, partitionOf } from '../../queue/partition.ts'
import { PartitionedRedis } from '../../queue/partitioned-redis.ts'
import { answered, redisReason } from '../../queue/redis.ts'
import { messageHead } from './message-head.ts'

/** What was accepted of one message. */
export interface MessageCopies {
  /** Copies are about to be sent: whoever gets a retry from now on looks whether it is one. */
  begin: () => void
  /** Which of these recipients an earlier attempt has served. At most 200 ms. */
  accepted: (recipients: readonly string[]) => Promise<ReadonlySet<string>>
  /** This recipient is served. */
  accept: (recipient: string) => void
  /** All are served and the client knows: nothing needs to be remembered. */
  complete: () => void
  /** The client was told to send again. */
  keep: () => void
}

export interface CopyLedger {
  /** Whether some message of the last day was accepted only in part, or is being sent in copies. */
  readonly outstanding: boolean
  /**
   * Whether this may be one of those.
   * @param pieces the message as received, at least its header
   */
  isOpen: (reversePath: string, pieces: readonly Buffer[]) => boolean
  /** @param pieces the message as received */
  message: (reversePath: string, pieces: readonly Buffer[]) => MessageCopies
}

/** How long a copy is remembered after the last attempt. Clients try again within hours, if for days. */
const rememberedSeconds = 86_400
/** Copies remembered in this process at most; the oldest give way. */
const localMax = 100_000
/** How often other processes' messages in part are noticed. */
const noticeMs = 500
/** Other processes' messages that are told apart; while there are more, any message may be one of them. */
const openMax = 1_000

export interface CopyLedgerOptions {
  readonly redisUrl: string
  readonly partitions: number
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
}

export class RedisCopyLedger implements CopyLedger {
  #connection!: PartitionedRedis
  #timer: NodeJS.Timeout | undefined
  /** Messages of this process that are served in part or being served → until when, in the time of `performance.now()`. */
  readonly #announced = new Map<string, number>()
  /** The same of all processes, as Redis told last; `all` when there were too many to tell. */
  #open: ReadonlySet<string> | 'all' = new Set()
  /** Key → when it may be forgotten, in the time of `performance.now()`. */
  readonly #local = new Map<string, number>()
  readonly #log: Logger
  readonly #skipped: Counter

  private constructor(options: CopyLedgerOptions) {
    this.#log = options.log
    this.#skipped = new Counter({
      name: 'wrapper_copies_skipped_total',
      help: 'Copies that were not sent again, for the upstream had accepted them when the client sent the message before.',
      registers: [options.metrics],
    })
  }

  /**
   * Starts also while Redis is down.
   * @throws {StartError} when Redis is up and not fit
   */
  static async open(options: CopyLedgerOptions): Promise<RedisCopyLedger> {
    const ledger = new RedisCopyLedger(options)
    ledger.#connection = await PartitionedRedis.open({
      ...options,
      role: 'store',
      onUsable: () => void ledger.#notice(),
    })
    ledger.#timer = setInterval(() => void ledger.#notice(), noticeMs)
    ledger.#timer.unref()
    return ledger
  }

  get outstanding(): boolean {
    return this.#announced.size > 0 || this.#open === 'all' || this.#open.size > 0
  }

  isOpen(reversePath: string, pieces: readonly Buffer[]): boolean {
    const announcement = announcementOf(reversePath, pieces)
    if (announcement === undefined) return false
    return this.#announced.has(announcement) || this.#open === 'all' || this.#open.has(announcement)
  }

  message(reversePath: string, pieces: readonly Buffer[]): MessageCopies {
    const announcement = announcementOf(reversePath, pieces)
    if (announcement === undefined) return forgetful
    const hash = createHash('sha256')
    for (const piece of pieces) hash.update(piece)
    const digest = hash.digest('base64url')
    const { partitions } = this.#connection
    const prefix = `${partitionKeys(partitionOf(digest, partitions)).seen}copy:`
    const keyOf = (recipient: string) =>
      prefix + createHash('sha256').update(`${reversePath}\0${recipient}\0${digest}`).digest('base64url')
    const served = new Map<string, string>()
    let isFirst = false
    return {
      begin: () => {
        isFirst = true
        this.#announce(announcement)
      },
      accepted: async recipients => {
        const keys = recipients.map(keyOf)
        const marks = await this.#read(keys)
        const found = recipients.filter((_, index) => marks[index])
        for (const recipient of found) served.set(recipient, keyOf(recipient))
        // The others of an earlier attempt may come in messages of their own.
        if (found.length > 0) isFirst = false
        if (found.length > 0) this.#skipped.inc(found.length)
        return new Set(found)
      },
      accept: recipient => {
        const key = keyOf(recipient)
        served.set(recipient, key)
        this.#remember(key)
      },
      complete: () => {
        this.#forget([...served.values()])
        if (isFirst) this.#withdraw(announcement)
      },
      keep: () => {
        for (const key of served.values()) this.#remember(key)
        this.#announce(announcement)
      },
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#connection.close()
  }

  async #read(keys: readonly string[]): Promise<boolean[]> {
    const now = performance.now()
    const local = keys.map(key => (this.#local.get(key) ?? 0) > now)
    if (!this.#connection.isUsable) return local
    try {
      const marks = await answered(this.#connection.redis.mget([...keys]))
      return local.map((known, index) => known || marks[index] !== null)
    } catch (error) {
      this.#log.warn({ reason: redisReason(error) }, 'Redis does not tell which copies were accepted before')
      return local
    }
  }

  #remember(key: string): void {
    if (this.#local.size >= localMax) {
      const [oldest] = this.#local.keys()
      if (oldest !== undefined) this.#local.delete(oldest)
    }
    // To the end of the line, also when it is known.
    this.#local.delete(key)
    this.#local.set(key, performance.now() + rememberedSeconds * 1000)
    this.#send(redis => redis.set(key, 1, 'EX', rememberedSeconds))
  }

  #forget(keys: readonly string[]): void {
    for (const key of keys) this.#local.delete(key)
    if (keys.length > 0) this.#send(redis => redis.unlink([...keys]))
  }

  #announce(digest: string): void {
    if (this.#announced.size >= localMax) {
      const [oldest] = this.#announced.keys()
      if (oldest !== undefined) this.#announced.delete(oldest)
    }
    this.#announced.delete(digest)
    this.#announced.set(digest, performance.now() + rememberedSeconds * 1000)
    // Between processes and machines only the time of day is the same.
    const now = Date.now()
    this.#send(redis =>
      redis
        .multi()
        .zadd(outstandingKey, now + rememberedSeconds * 1000, digest)
        .zremrangebyscore(outstandingKey, 0, now)
        .expire(outstandingKey, rememberedSeconds)
        .exec(),
    )
  }

  #withdraw(digest: string): void {
    this.#announced.delete(digest)
    this.#send(redis => redis.zrem(outstandingKey, digest))
  }

  /** Nobody waits for it. Commands of one connection keep their order. */
  #send(command: (redis: PartitionedRedis['redis']) => Promise<unknown>): void {
    if (!this.#connection.isUsable) return
    answered(command(this.#connection.redis)).catch((error: unknown) => {
      this.#log.warn({ reason: redisReason(error) }, 'Redis did not note which copies were accepted')
    })
  }

  async #notice(): Promise<void> {
    const now = performance.now()
    for (const [digest, until] of this.#announced) {
      if (until > now) break
      this.#announced.delete(digest)
    }
    // Called by the connection before `open` has it in its hands.
    if (!this.#connection?.isUsable) return
    try {
      const open = await answered(
        this.#connection.redis.zrange(outstandingKey, Date.now(), '+inf', 'BYSCORE', 'LIMIT', 0, openMax + 1),
      )
      this.#open = open.length > openMax ? 'all' : new Set(open)
    } catch {
      // The next time will tell.
    }
  }
}

/** Messages that are served in part or being served, by until when that counts; while there is none a message with one
 * recipient needs no look. */
const outstandingKey = `${partitionKeys(0).seen}copies-open`

/** By what a message is announced, known with its header; undefined for one that can't be told from another. */
function announcementOf(reversePath: string, pieces: readonly Buffer[]): string | undefined {
  const head = messageHead(pieces)
  const id = head?.get('message-id') ?? ''
  const date = head?.get('date') ?? ''
  if (id === '' && date === '') return undefined
  return createHash('sha256').update(`${reversePath}\0${id}\0${date}`).digest('base64url').slice(0, 22)
}

/** For a message that can't be told from another. */
const forgetful: MessageCopies = {
  begin: () => undefined,
  accepted: async () => new Set(),
  accept: () => undefined,
  complete: () => undefined,
  keep: () => undefined,
}
