/** Opens the logs that the settings name, and those that their globs match later. */
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import type { Agent } from './agent.ts'
import { FileSource } from './file-source.ts'
import { JournalSource } from './journal-source.ts'
import { logPaths } from './log-paths.ts'
import type { LogSource, Resume, SourceEvents } from './log-source.ts'
import { rotatedFiles } from './rotated-files.ts'
import { StreamSource } from './stream-source.ts'

/** A log of which nothing is known. */
const fresh: Resume = { from: undefined, through: undefined, damaged: false }
/** How often globs are looked at for files that are new. */
const globEveryMs = 5_000

export interface LogsToFollow {
  readonly logPath: readonly string[]
  readonly fromBeginning: boolean
  readonly rotateWait: number
  /** Logs that an earlier run followed. */
  readonly known: readonly string[]
  /** When that run read something last, Unix ms; 0 when there was none. */
  readonly lastReadMs: number
  /** Called with one of those of which nothing is left. */
  readonly forget: (id: string) => void
  /** Where a log goes on. */
  readonly resume: (id: string) => Resume
  readonly events: SourceEvents
  readonly log: Logger
  readonly health: Health
}

/** Settles when all that are there now are followed. @returns stops looking for more; idempotent */
export async function followLogs(agent: Agent, logs: LogsToFollow): Promise<() => void> {
  const { paths, globs } = logPaths(logs.logPath, logs.known)
  for (const path of paths) {
    const fromBeginning = logs.fromBeginning || (await hasAppeared(path, logs))
    await agent.follow(await openSource(path, logs, fromBeginning, logs.resume(path)))
  }
  const matched = new MatchedLogs(agent, logs, globs, paths)
  await matched.forgetGone()
  matched.sayWhetherAny()
  if (globs.length === 0) return () => undefined
  const timer = setInterval(() => void matched.look(), globEveryMs)
  return () => clearInterval(timer)
}

/** The logs that globs match, as they come and go. */
class MatchedLogs {
  readonly #agent: Agent
  readonly #logs: LogsToFollow
  readonly #globs: readonly string[]
  readonly #followed: Set<string>
  /** Logs of which there was no file at the last look. */
  #away: ReadonlySet<string> = new Set()
  /** Those that were given up: what comes under their names is another log. */
  readonly #gone = new Set<string>()
  #isLooking = false

  constructor(agent: Agent, logs: LogsToFollow, globs: readonly string[], paths: readonly string[]) {
    this.#agent = agent
    this.#logs = logs
    this.#globs = globs
    this.#followed = new Set(paths)
  }

  /** Forgets logs of earlier runs of which nothing is left. */
  async forgetGone(): Promise<void> {
    for (const id of this.#logs.known) {
      if (!isPath(id) || this.#followed.has(id) || (await isAnythingLeft(id))) continue
      this.#gone.add(id)
      this.#logs.forget(id)
    }
  }

  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      await this.#followMore()
      await this.#letGo()
      this.sayWhetherAny()
    } catch (error) {
      this.#logs.log.warn({ reason: (error as Error).message }, 'a log can not be opened, trying again')
    } finally {
      this.#isLooking = false
    }
  }

  sayWhetherAny(): void {
    const isAny = this.#globs.length === 0 || this.#followed.size > 0
    this.#logs.health.set(
      'log-path',
      isAny ? undefined : `no file matches ${this.#globs.join(', ')}: check --log-path and that its folder can be read`,
    )
  }

  async #followMore(): Promise<void> {
    const known = [...this.#followed, ...this.#logs.known].filter(path => !this.#gone.has(path))
    for (const path of logPaths(this.#globs, known).paths) {
      if (this.#followed.has(path)) continue
      const resume = this.#gone.has(path) ? fresh : this.#logs.resume(path)
      // It appeared while we ran: all that it holds is new.
      const source = await openSource(path, this.#logs, true, resume)
      this.#followed.add(path)
      this.#gone.delete(path)
      this.#logs.log.info({ path }, 'a further log')
      await this.#agent.follow(source)
    }
  }

  /** Gives up logs that only a glob named and of which nothing is left, rotations included, at two looks. */
  async #letGo(): Promise<void> {
    const away = new Set<string>()
    for (const path of this.#followed) {
      if (this.#logs.logPath.includes(path) || (await isAnythingLeft(path))) continue
      away.add(path)
      if (!this.#away.has(path) || !(await this.#agent.unfollow(path))) continue
      this.#followed.delete(path)
      this.#gone.add(path)
      this.#logs.log.info({ path }, 'the log is gone, it is followed no more')
    }
    this.#away = away
  }
}

/** Whether a log is the path of a file, in contrast to standard input and the journal. */
export function isPath(id: string): boolean {
  return id !== '-' && id !== 'journald'
}

/** Of a log and its rotations. */
async function isAnythingLeft(path: string): Promise<boolean> {
  return existsSync(path) || (await rotatedFiles(path)).length > 0
}

/** Whether a glob matches it since an earlier run looked last, as nothing of it was there then. */
async function hasAppeared(path: string, { logPath, known, lastReadMs }: LogsToFollow): Promise<boolean> {
  if (lastReadMs === 0 || logPath.includes(path) || known.includes(path)) return false
  const files = [...(await rotatedFiles(path)).map(file => file.path), path]
  const births = await Promise.all(files.map(birthMsOf))
  return births.every(birthMs => birthMs > lastReadMs - 2 * globEveryMs)
}

/** 0 when it can't be told. */
async function birthMsOf(file: string): Promise<number> {
  return stat(file).then(
    ({ birthtimeMs }) => birthtimeMs,
    () => 0,
  )
}

async function openSource(
  path: string,
  logs: LogsToFollow,
  fromBeginning: boolean,
  resume: Resume,
): Promise<LogSource> {
  const { events, rotateWait: rotateWaitMs } = logs
  if (path === '-') return new StreamSource('-', process.stdin, events)
  if (path === 'journald') return new JournalSource({ fromBeginning, events }, resume)
  return FileSource.open({ path, rotateWaitMs, fromBeginning, events }, resume)
}
