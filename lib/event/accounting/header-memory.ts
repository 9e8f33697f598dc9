/**
 * The last header line of a source of accounting records. PowerMTA writes it once, at its start; a process that it starts
 * later for the same pipe has to know it from the one before. Kept in a file beside the spill and in Redis.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { makeFolder } from '../../process/make-folder.ts'
import { writeFileDurably } from '../../durable/durable-file.ts'
import type { Logger } from '../../process/log.ts'
import { answered } from '../../queue/redis.ts'
import { columnsMax } from '../powermta/accounting-columns.ts'

export interface HeaderMemoryOptions {
  /** Folder of the file; made when it is not there. */
  readonly dir: string
  /** Name of the pipe or file that the header belongs to. */
  readonly source: string
  readonly redis: Redis
  readonly log: Logger
}

/** How long a question waits for Redis to be there, in milliseconds. */
const redisWaitMs = 3_000
/** How soon it is told again what it did not take, in milliseconds. */
const redisRetryMs = 5_000
/** Longest wait for an answer, in milliseconds; at the end also for the connection. */
const commandMs = 2_000
/** How often the connection is looked at while it is waited for, in milliseconds. */
const pollMs = 50

export class HeaderMemory {
  readonly #options: HeaderMemoryOptions
  #kept: string | undefined
  #retry: NodeJS.Timeout | undefined
  #saving: Promise<void> = Promise.resolve()
  #telling: Promise<void> = Promise.resolve()
  /** What Redis is known to have. */
  #told: string | undefined
  /** What was saved and Redis is not known to have. */
  #untold: string | undefined
  #isClosed = false

  constructor(options: HeaderMemoryOptions) {
    this.#options = options
  }

  /** The names of the columns, as last saved; undefined when nothing is known of the source. Never rejects. */
  async recall(): Promise<readonly string[] | undefined> {
    const names =
      readNames(await readFile(this.#file, 'utf8').catch(() => undefined)) ?? readNames(await this.#askRedis())
    if (names) this.#kept = JSON.stringify(names)
    return names
  }

  /** Keeps a header; settles when it is on the disk, and goes to Redis meanwhile. Never rejects: a failure is logged. */
  async save(names: readonly string[]): Promise<void> {
    const text = JSON.stringify(names)
    if (text !== this.#kept) {
      this.#kept = text
      this.#saving = this.#saving.then(() => this.#write(text))
    }
    if (text !== (this.#untold ?? this.#told)) {
      this.#untold = text
      this.#telling = this.#tellRedis(text)
    }
    await this.#saving
  }

  /** Waits for what is being written. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#retry)
    await this.#saving
    await this.#telling
    // Not what was only recalled: another process may have saved a later one since.
    if (this.#untold === undefined) return
    // A short input is over before the connection is made.
    if (await this.#isReady(performance.now() + commandMs)) await this.#tellRedis(this.#untold)
  }

  get #file(): string {
    return join(this.#options.dir, `header-${fileName(this.#options.source)}.json`)
  }

  get #key(): string {
    return `mta:acct-header:${this.#options.source}`
  }

  async #write(text: string): Promise<void> {
    const { dir, log } = this.#options
    try {
      makeFolder(dir, 0o700)
      await writeFileDurably(this.#file, text)
    } catch (error) {
      log.error({ file: this.#file, reason: (error as Error).message }, 'header line not kept on disk')
    }
  }

  async #tellRedis(text: string): Promise<void> {
    // It may be about a header before this one.
    clearTimeout(this.#retry)
    try {
      await answered(this.#options.redis.set(this.#key, text), commandMs)
      this.#told = text
      if (this.#untold === text) this.#untold = undefined
    } catch {
      if (this.#isClosed || text !== this.#kept) return
      this.#retry = setTimeout(() => void this.#tellRedis(text), redisRetryMs).unref()
    }
  }

  async #askRedis(): Promise<string | undefined> {
    const { redis } = this.#options
    const deadline = performance.now() + redisWaitMs
    while (await this.#isReady(deadline)) {
      try {
        return (await answered(redis.get(this.#key), commandMs)) ?? undefined
      } catch {
        // Asked again.
        await new Promise(resolve => setTimeout(resolve, pollMs))
      }
    }
    return undefined
  }

  /** Whether Redis is there, or comes, before a time by performance.now. */
  async #isReady(deadline: number): Promise<boolean> {
    while (performance.now() < deadline) {
      if (this.#options.redis.status === 'ready') return true
      await new Promise(resolve => setTimeout(resolve, pollMs))
    }
    return false
  }
}

function readNames(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) && value.length <= columnsMax && value.every(name => typeof name === 'string')
      ? value
      : undefined
  } catch {
    return undefined
  }
}

function fileName(source: string): string {
  return source.replaceAll(/[^\w.-]/g, '_').slice(0, 100)
}
