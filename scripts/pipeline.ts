/** `./start.sh`: runs, shows and stops the whole pipeline. */
import { spawn } from 'node:child_process'
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { consoleOptions } from '../lib/console/options.ts'
import { lockDirectory } from '../lib/durable/directory-lock.ts'
import { trackerOptions } from '../lib/event/engagement/options.ts'
import { agentOptions } from '../lib/event/maillog/options.ts'
import { feederOptions } from '../lib/event/upload/feeder-options.ts'
import { wrapperOptions } from '../lib/message/smtp/options.ts'
import {
  addressOf,
  checkSettings,
  installMissing,
  makeLinkKeys,
  printStatus,
  sayIfChanged,
  sendSample,
} from '../lib/pipeline/commands.ts'
import { sizeOf } from '../lib/pipeline/log-tail.ts'
import { planPipeline, supervisable } from '../lib/pipeline/plan.ts'
import {
  forgetRunningState,
  readRunningState,
  type RunningState,
  writeRunningState,
} from '../lib/pipeline/running-state.ts'
import { childStopMs, supervisorStopMs } from '../lib/pipeline/stop-time.ts'
import { ChildFailed, Supervisor } from '../lib/pipeline/supervisor.ts'
import { makeFolder } from '../lib/process/make-folder.ts'
import { flag, listOf, oneOf, option, path } from '../lib/process/option.ts'
import { endProcess, identify, isAlive, type ProcessIdentity } from '../lib/process/process-identity.ts'
import { Asked, readSettings, SettingsError } from '../lib/process/settings.ts'
import { StartError } from '../lib/process/start-error.ts'

const root = resolve(fileURLToPath(import.meta.url), '../..')
/** How long a supervisor may take from its lock to its record. */
const recordedMsMax = 2_000

const program = {
  name: 'pipeline' as const,
  calledAs: './start.sh',
  manual: `Installs what is missing and runs the whole pipeline: Redis, console, tracker, feeder and wrapper.

  start     start everything and stay in the foreground; Ctrl-C or SIGTERM stops it (the default)
  status    what runs, where it listens and how it is; exits 0 when all is well, 3 when nothing runs, 4 when something is not well
  stop      finish what was accepted and stop; what does not end within 12 s is killed
  reload    have every process open its log and read its keys anew (SIGHUP)
  sample    send a sample mail through the wrapper

Settings come from config/mta-tracking.yaml, or while there is none from config/mta-tracking.example.yaml; those of the
processes stand there (node cmd/wrapper.ts --help lists the wrapper's) or in the environment.`,
  operands: '[command]',
  ownOptionsOnly: true as const,
  options: {
    run: option(listOf(oneOf(...supervisable)), { help: 'What is run.', default: 'console,tracker,feeder,wrapper' }),
    'state-dir': option(path, { help: 'Folder for Redis, logs and state.', default: 'var' }),
    detach: option(flag, {
      help: 'Return once everything is up; it goes on in the background.',
      default: 'false',
    }),
    'unless-stopped': option(flag, {
      help: 'Do nothing after `stop`, until a start without this option.',
      default: 'false',
    }),
    quiet: option(flag, { help: 'Print only what went wrong.', default: 'false' }),
  },
}

const ownConfig = join(root, 'config', 'mta-tracking.yaml')
const defaultConfig = existsSync(ownConfig) ? ownConfig : join(root, 'config', 'mta-tracking.example.yaml')

/** What keeps files from being written, whoever wants to, and what to do. */
const remedies = {
  ENOSPC: 'the disk is full; make room and call it again',
  EDQUOT: "the user's quota is used up; make room and call it again",
  EROFS: 'its file system is mounted read-only; mend that, or choose another --state-dir',
} as const

// The terminal may be closed; what runs goes on.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const { code, path: file } = error as NodeJS.ErrnoException
  if (error instanceof Asked) console.log(error.message.trimEnd())
  else if (error instanceof SettingsError) {
    console.error(`start.sh: ${error.message}`)
    process.exitCode = 2
  } else if (error instanceof StartError) {
    console.error(`start.sh: ${error.message}`)
    process.exitCode = 1
  } else if (code === 'EACCES' || code === 'EPERM') {
    console.error(
      file === undefined
        ? `start.sh: a process of the pipeline is another user's (${code}): call it as the user that started it`
        : `start.sh: ${file} can't be used (${code}): call it as the user that started the pipeline, or choose another --state-dir`,
    )
    process.exitCode = 1
  } else if (code !== undefined && isNoRoom(code)) {
    console.error(`start.sh: ${file ?? 'a file of --state-dir'} can't be written (${code}): ${remedies[code]}`)
    process.exitCode = 1
  } else throw error
}

async function main(argv: readonly string[]): Promise<number> {
  const line = readLine(argv)
  const [command = 'start'] = line.operands
  const { settings } = line
  const stateDir = resolve(root, settings.stateDir)
  const runDir = join(stateDir, 'run')
  const stateFile = join(runDir, 'pipeline.json')
  const stoppedMark = join(runDir, 'stopped')
  const configFile = resolve(settings.config ?? defaultConfig)
  const say = settings.quiet ? () => undefined : (text: string) => console.log(text)
  /** How this pipeline is called, and not another one on this machine. */
  const call = [
    './start.sh',
    ...(settings.config === undefined ? [] : ['--config', settings.config]),
    ...(stateDir === join(root, 'var') ? [] : ['--state-dir', settings.stateDir]),
  ].join(' ')
  const recorded = readRunningState(stateFile)
  const running = recorded !== undefined && isAlive(recorded.supervisor) ? recorded : undefined

  switch (command) {
    case 'start':
      if (line.check) return check()
      if (running) return tellRunning(running)
      if (settings.unlessStopped && existsSync(stoppedMark)) return 0
      makeFolder(runDir)
      rmSync(stoppedMark, { force: true })
      if (!settings.detach) return supervise()
      // Here, where its progress is seen.
      if (!installMissing(plan(), root)) return 1
      return startDetached(join(stateDir, 'log', 'pipeline.log'), settings.quiet)
    case 'stop':
      return stop()
    case 'reload':
      if (!running) return tellNotRunning()
      process.kill(running.supervisor.pid, 'SIGHUP')
      return 0
    case 'status': {
      if (!running) return tellNotRunning()
      const well = await printStatus(running, say)
      sayIfChanged(running, configFile, call, say)
      return well ? 0 : 4
    }
    case 'sample':
      if (!running) return tellNotRunning()
      return (await sendSample(running, join(root, 'config', 'sample.eml'), text => console.log(text))) ? 0 : 1
    default:
      throw new SettingsError(`unknown command ${JSON.stringify(command)}: start, status, stop, reload or sample`)
  }

  function plan(): ReturnType<typeof planPipeline> {
    return planPipeline({
      root,
      node: process.execPath,
      configFile,
      stateDir,
      run: settings.run,
      env: process.env,
      options: {
        console: consoleOptions,
        tracker: trackerOptions,
        feeder: feederOptions,
        agent: agentOptions,
        wrapper: wrapperOptions,
      },
    })
  }

  async function check(): Promise<number> {
    let wrong
    try {
      wrong = await checkSettings(plan(), root)
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error
      wrong = [error.message]
    }
    for (const reason of wrong) console.error(reason)
    if (wrong.length === 0) say(`${configFile} is good.`)
    return wrong.length === 0 ? 0 : 1
  }

  function tellNotRunning(): number {
    say(`mta-tracking is not running. Start it with ${call}`)
    return 3
  }

  async function tellRunning(state: RunningState): Promise<number> {
    say('mta-tracking is running already.')
    if (settings.quiet) return 0
    await printStatus(state, say)
    sayIfChanged(state, configFile, call, say)
    return 0
  }

  async function stop(): Promise<number> {
    markStopped()
    if (running) await endProcess(running.supervisor, supervisorStopMs(running))
    // Nobody is to start anything while what a killed supervisor left is ended.
    const lock = await lockDirectory(runDir)
    // Its last word, when it had to be killed.
    await endChildren(readRunningState(stateFile) ?? recorded)
    forgetRunningState(stateFile)
    await lock.release()
    say(running ? 'mta-tracking has stopped.' : 'mta-tracking was not running.')
    return 0
  }

  /** For `--unless-stopped`. A full disk keeps nobody from stopping what fills it. */
  function markStopped(): void {
    try {
      makeFolder(runDir)
      // Made anew: one that root left may be removed by the owner of the folder, not written.
      rmSync(stoppedMark, { force: true })
      writeFileSync(stoppedMark, '')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') throw error
      console.error(`start.sh: ${(error as Error).message}: --unless-stopped will start it again`)
    }
  }

  /** Runs everything until it is told to end. One supervisor a folder: two would give one Redis folder to two servers. */
  async function supervise(): Promise<number> {
    const stopping = new AbortController()
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopping.abort(signal))
    // From here on, before it can be found: what rotates logs does not wait until all is up, and SIGHUP would be the end.
    let supervisor: Supervisor | undefined
    process.on('SIGHUP', () => supervisor?.reload())
    let lock
    try {
      lock = await lockDirectory(runDir)
    } catch (error) {
      const first = error instanceof StartError ? await recordedSupervisor() : undefined
      if (!first) throw error
      say(`mta-tracking is being started already, by process ${first.pid}.`)
      return 0
    }
    try {
      const orphans = readRunningState(stateFile)
      const self = identify(process.pid)
      const children = orphans?.children ?? []
      if (self) writeRunningState(stateFile, { supervisor: self, children, configFile, startedAt: Date.now() })
      // Children whose supervisor was killed: ours, and in the way of new ones.
      await endChildren(orphans)
      return await superviseAlone(stopping.signal, made => (supervisor = made))
    } finally {
      forgetRunningState(stateFile)
      await lock.release()
    }
  }

  /** Who has the folder; it is recorded a moment after it has the lock. */
  async function recordedSupervisor(): Promise<ProcessIdentity | undefined> {
    const deadline = performance.now() + recordedMsMax
    do {
      const supervisor = readRunningState(stateFile)?.supervisor
      if (supervisor && isAlive(supervisor)) return supervisor
      await new Promise(resolve => setTimeout(resolve, 50))
    } while (performance.now() < deadline)
    return undefined
  }

  async function superviseAlone(stopping: AbortSignal, made: (supervisor: Supervisor) => void): Promise<number> {
    const planned = plan()
    const keys = planned.linkKeysFile
    makeFolder(join(stateDir, 'log'))
    if (!installMissing(planned, root)) return 1
    if (keys !== undefined && !existsSync(keys)) {
      makeLinkKeys(keys, root)
      say(`made link keys in ${keys}: keep a copy in a safe place`)
    }
    const wrong = await checkSettings(planned, root, { stopping })
    if (stopping.aborted) return 0
    for (const reason of wrong) console.error(reason)
    if (wrong.length > 0) return 2
    const report = (text: string) => console.error(`${new Date().toISOString()} ${text}`)
    const supervisor = new Supervisor({ plan: planned, root, stateFile, report })
    made(supervisor)
    const stopped = new Promise<void>(done => {
      if (stopping.aborted) done()
      stopping.addEventListener('abort', () => done(), { once: true })
    })
    try {
      await Promise.race([supervisor.start(), stopped])
      const state = readRunningState(stateFile)
      if (state && !settings.quiet && !stopping.aborted) {
        await printStatus(state, say)
        say(tryNext(state, call))
      }
      // Tells the call with --detach that waits for it. That may be gone (Ctrl-C while it waited), which without a
      // callback would be an error that ends us and leaves the children alone.
      if (!stopping.aborted) process.send?.('up', () => undefined)
      await stopped
      say(`${String(stopping.reason)}: stopping`)
      return 0
    } catch (error) {
      if (!(error instanceof ChildFailed)) throw error
      console.error(`start.sh: ${error.message}`)
      return 1
    } finally {
      await supervisor.stop()
    }
  }
}

function isNoRoom(code: string): code is keyof typeof remedies {
  return Object.hasOwn(remedies, code)
}

/** @throws {SettingsError} also for a file that is no YAML, with the way to stop what runs all the same */
function readLine(argv: readonly string[]): ReturnType<typeof readSettings<typeof program.options>> {
  try {
    return readSettings({ ...program, configFile: defaultConfig }, argv, process.env, version())
  } catch (error) {
    const needsFile = argv.every(word => !/^(?:status|stop|reload|sample)$/.test(word))
    if (needsFile || !(error instanceof SettingsError) || !error.message.includes('.yaml:')) throw error
    throw new SettingsError(`${error.message}\n(--config config/mta-tracking.example.yaml does it without that file)`)
  }
}

async function endChildren(state: RunningState | undefined): Promise<void> {
  for (const { identity } of (state?.children ?? []).toReversed()) {
    if (identity) await endProcess(identity, childStopMs)
  }
}

/** Starts this same program in the background and waits until it says that all is up; its exit code when it is not. */
async function startDetached(logFile: string, quiet: boolean): Promise<number> {
  makeFolder(resolve(logFile, '..'))
  const output = openSync(logFile, 'a')
  const before = sizeOf(logFile)
  const args = process.argv.slice(2).filter(word => word !== '--detach' && word !== '-detach')
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args, '--no-detach'], {
    cwd: root,
    stdio: ['ignore', output, output, 'ipc'],
    detached: true,
  })
  const exitCode = await new Promise<number>(done => {
    child.once('message', () => done(0))
    child.once('exit', code => done(code ?? 1))
  })
  const said = readFileSync(logFile).subarray(before)
  if (exitCode !== 0) process.stderr.write(said.length > 0 ? said : wordless(logFile, exitCode))
  else if (!quiet) process.stdout.write(said)
  if (child.connected) child.disconnect()
  child.unref()
  return exitCode
}

/** What is said for a start that failed and could not write why, as on a full disk. */
function wordless(logFile: string, exitCode: number): string {
  return `start.sh: the start failed (exit code ${exitCode}) and left no reason in ${logFile}: is the disk full (ENOSPC)?\n`
}

/** @param call how this pipeline is called */
function tryNext(state: RunningState, call: string): string {
  const page = addressOf(state, 'console')
  const commands = [
    ...(addressOf(state, 'wrapper') === undefined
      ? []
      : [[`${call} sample`, 'send a sample mail through the wrapper']]),
    ...(page === undefined ? [] : [[page, 'see it arrive, open it, follow a link, see the events']]),
    [`${call} status`, 'how everything is'],
    [`${call} stop`, process.send ? 'stop it' : 'stop it; here Ctrl-C does the same'],
  ]
  const width = Math.max(...commands.map(([command = '']) => command.length))
  return [
    '',
    'Try next:',
    ...commands.map(([command = '', what = '']) => `  ${command.padEnd(width)}  ${what}`),
    `Settings: ${state.configFile}`,
  ].join('\n')
}

function version(): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version
}
