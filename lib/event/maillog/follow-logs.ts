/** Opens the logs that the settings name, and those that their globs match later. */
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import type { Agent } from './agent.ts'
import { FileSource } from './file-source.ts'
import { JournalSource } from './journal-source.ts'
import { logPaths } from './log-paths.ts'
import type { LogSource, Resume, SourceEvents } from './log-source.ts'
import { StreamSource } from './stream-source.ts'

/** How often globs are looked at for files that are new. */
const globEveryMs = 10_000

export interface LogsToFollow {
  readonly logPath: readonly string[]
  readonly fromBeginning: boolean
  readonly rotateWait: number
  /** Where a log goes on. */
  readonly resume: (id: string) => Resume
  readonly events: SourceEvents
  readonly log: Logger
  readonly health: Health
}

/** Settles when all that are there now are followed. @returns stops looking for more; idempotent */
export async function followLogs(agent: Agent, logs: LogsToFollow): Promise<() => void> {
  const { paths, globs } = logPaths(logs.logPath)
  const known = new Set(paths)
  for (const path of paths) await agent.follow(await openSource(path, logs, logs.fromBeginning))
  const say = () =>
    logs.health.set(
      'log-path',
      known.size > 0
        ? undefined
        : `no file matches ${globs.join(', ')}: check --log-path and that its folder can be read`,
    )
  say()
  if (globs.length === 0) return () => undefined
  const look = async () => {
    for (const path of logPaths(globs).paths) {
      if (known.has(path)) continue
      // It appeared while we ran: all that it holds is new.
      const source = await openSource(path, logs, true)
      known.add(path)
      logs.log.info({ path }, 'a further log')
      await agent.follow(source)
    }
    say()
  }
  let looking: Promise<void> | undefined
  const timer = setInterval(() => {
    looking ??= look()
      .catch((error: unknown) =>
        logs.log.warn({ reason: (error as Error).message }, 'a log can not be opened, trying again'),
      )
      .finally(() => (looking = undefined))
  }, globEveryMs)
  return () => clearInterval(timer)
}

async function openSource(path: string, logs: LogsToFollow, fromBeginning: boolean): Promise<LogSource> {
  const { events, rotateWait: rotateWaitMs } = logs
  if (path === '-') return new StreamSource('-', process.stdin, events)
  if (path === 'journald') return new JournalSource({ fromBeginning, events }, logs.resume('journald'))
  return FileSource.open({ path, rotateWaitMs, fromBeginning, events }, logs.resume(path))
}
