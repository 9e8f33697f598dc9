/**
 * The life of a process: settings, log, metrics, start, signals, stop. Every `cmd/*.ts` is a description of a program
 * handed to `run`.
 *
 * - `--help` and `--version` print and exit 0; a bad setting prints one line and exits 2 (1 with `--check`);
 * - a start that fails (port in use, unreadable file) logs one line and exits 1;
 * - SIGHUP reopens the log and calls what was registered with `onReload`; what fails of it is the health cause `reload`;
 * - SIGTERM and SIGINT finish what was accepted and exit 0; what is not done after 9 s is abandoned with exit 1;
 * - where what runs fails by itself, what was accepted is finished as well, with exit 1.
 */
import { readFileSync } from 'node:fs'
import { Registry } from './prometheus.ts'
import type { CommonOptions } from './common-options.ts'
import { Health } from './health.ts'
import { openLog, type Logger } from './log.ts'
import { formatHostPort, type OptionTable, type Settings } from './option.ts'
import { StartError } from './start-error.ts'
import { measureProcess } from './process-metrics.ts'
import { Asked, type Program, readSettings, SettingsError, type WithCommon } from './settings.ts'

const stopMsMax = 9_000

export interface ProcessContext<Table extends OptionTable> {
  readonly settings: Settings<WithCommon<Table>>
  readonly operands: readonly string[]
  readonly log: Logger
  readonly metrics: Registry
  readonly health: Health
  /** Aborted when the process is asked to stop. */
  readonly stopping: AbortSignal
  /** Registers what SIGHUP does beyond reopening the log; what it throws is told to log and health. */
  onReload: (reload: () => void | Promise<void>) => void
}

/** What a started process hands back. */
export interface Running {
  /**
   * Settles when the process has come to its end by itself, as at the end of its input. Absent: it runs until stopped.
   * Rejects when it can't go on; that is told once, so `close` need not tell it again.
   */
  readonly done?: Promise<void>
  /** Finishes what was accepted and frees what is held. Called once, also when `done` has rejected. */
  close: () => Promise<void>
}

export interface RunnableProgram<Table extends OptionTable> extends Program<Table> {
  /** Checks beyond single settings, for `--check` and before the start; throws SettingsError. */
  readonly validate?: (settings: Settings<WithCommon<Table>>, operands: readonly string[]) => void
  readonly start: (context: ProcessContext<Table>) => Promise<Running>
  /**
   * For a command whose standard output is its result: without --logfile, log lines go to standard error, and a reason
   * not to start is one plain line there.
   */
  readonly logTo?: 'stderr'
}

/** Runs a program to its end; sets `process.exitCode`. */
export async function run<Table extends OptionTable>(
  program: RunnableProgram<Table>,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const wantsCheck = argv.some(word => /^--?check$/.test(word))
  // The reader of our standard output may go away; that is no reason to stop moving mail.
  process.stdout.on('error', () => undefined)
  let line
  try {
    line = readSettings(program, argv, process.env, packageVersion())
    program.validate?.(line.settings, line.operands)
  } catch (error) {
    if (error instanceof Asked) {
      process.stdout.write(`${error.message.trimEnd()}\n`)
      return
    }
    if (!(error instanceof SettingsError)) throw error
    process.stderr.write(`${program.name}: ${error.message}\n`)
    process.exitCode = wantsCheck ? 1 : 2
    return
  }
  const { settings } = line
  if (line.check) {
    process.stdout.write(`${program.name}: the configuration is good\n`)
    return
  }

  const common = settings as Settings<CommonOptions>
  let opened
  try {
    opened = openLog(program.name, common.logLevel, common.logfile, program.logTo)
  } catch (error) {
    process.stderr.write(`${program.name}: --logfile ${common.logfile}: ${(error as Error).message}\n`)
    process.exitCode = 2
    return
  }
  const { logger: log, reopen } = opened
  const metrics = new Registry()
  const health = new Health()
  const stop = new AbortController()
  const reloads: (() => void | Promise<void>)[] = []

  const fatal = (error: unknown) => {
    log.fatal({ err: error }, 'unexpected failure, ending')
    process.exit(1)
  }
  process.once('uncaughtException', fatal).once('unhandledRejection', fatal)
  process.on('SIGHUP', () => {
    reopen()
    void reloadAll(reloads, log, health)
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort(signal))
  let abandoned: NodeJS.Timeout | undefined
  // Counts from the signal on, also when it is the start that hangs.
  const allowForStop = () => {
    abandoned ??= setTimeout(() => {
      log.error({ afterMs: stopMsMax }, 'not everything accepted was finished in time, ending')
      process.exit(1)
    }, stopMsMax)
  }
  stop.signal.addEventListener('abort', allowForStop, { once: true })

  let failure = 'not started'
  const failed = (error: unknown) => {
    const expected = error instanceof StartError || error instanceof SettingsError
    if (expected && program.logTo && common.logfile === undefined) {
      process.stderr.write(`${program.name}: ${error.message}\n`)
    } else log.fatal(expected ? { reason: error.message } : { err: error }, failure)
    process.exitCode = 1
  }
  let metricsServer
  try {
    // Asked before the process does its work, it must not say that all is well.
    health.set('start', 'is starting')
    const at = common.metricsHostport
    if (at) {
      // Its HTTP server is half of the time that a process takes to start.
      const { serveMetrics } = await import('./metrics-server.ts')
      measureProcess(metrics)
      metricsServer = await listening(at, () => serveMetrics(at, metrics, health), 'metrics-hostport')
    }
    const running = await program.start({
      settings,
      operands: line.operands,
      log,
      metrics,
      health,
      stopping: stop.signal,
      onReload: reload => reloads.push(reload),
    })
    health.set('start', undefined)
    failure = 'ended by a failure'
    const stopped = new Promise<void>(resolve => {
      if (stop.signal.aborted) resolve()
      stop.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await Promise.race([stopped, running.done ?? stopped]).catch(failed)
    if (stop.signal.aborted) log.info({ signal: String(stop.signal.reason) }, 'stopping')
    allowForStop()
    await running.close()
  } catch (error) {
    failed(error)
  }
  await metricsServer?.close()
  clearTimeout(abandoned)
  // Whatever still holds the event loop by now is not worth waiting for; the exit code stands.
  setTimeout(() => process.exit(), 500).unref()
}

/** Each by itself: what can't be had anew must not keep the others from it. */
async function reloadAll(reloads: readonly (() => void | Promise<void>)[], log: Logger, health: Health): Promise<void> {
  const outcomes = await Promise.allSettled(reloads.map(async reload => reload()))
  const reasons = outcomes.flatMap(outcome =>
    outcome.status === 'rejected' ? [(outcome.reason as Error).message] : [],
  )
  for (const reason of reasons) log.error({ reason }, 'reload failed, going on as before')
  const trouble = `${reasons.join('; ')}: what was read before stays in force`
  health.set('reload', reasons.length > 0 ? trouble : undefined)
}

/**
 * Opens a listener and turns the usual failures into one clear sentence.
 * @param setting the option that says where it listens
 * @throws {StartError}
 */
export async function listening<T>(
  at: { host: string; port: number },
  listen: () => Promise<T>,
  setting = 'in-hostport',
): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const place = formatHostPort(at)
    if (code === 'EADDRINUSE')
      throw new StartError(`${place} is in use: stop what listens there or choose another port with --${setting}`)
    if (code === 'EACCES')
      throw new StartError(
        `${place} may not be opened by this user: choose a port above 1023 with --${setting} or grant CAP_NET_BIND_SERVICE`,
      )
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new StartError(`${place} is not an address of this machine: choose one with --${setting}`)
    throw error
  }
}

function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return manifest.version
}
