/** `./start.sh`: runs, shows and stops the whole pipeline. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkSettings, installMissing, makeLinkKeys, printStatus, sendSample } from '../lib/pipeline/commands.ts'
import { planPipeline, supervisable } from '../lib/pipeline/plan.ts'
import { endProcess, forgetRunningState, isAlive, readRunningState } from '../lib/pipeline/running-state.ts'
import { ChildFailed, Supervisor } from '../lib/pipeline/supervisor.ts'
import { flag, listOf, oneOf, option, path } from '../lib/process/option.ts'
import { Asked, readSettings, SettingsError } from '../lib/process/settings.ts'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')

const program = {
  name: 'pipeline' as const,
  calledAs: './start.sh',
  manual: `Installs what is missing and runs the whole pipeline: Redis, console, tracker, feeder and wrapper.

  start     start everything and stay in the foreground; Ctrl-C or SIGTERM stops it (the default)
  status    what runs, where it listens and how it is; exits 0 when all is well, 3 when nothing runs, 4 when something is not well
  stop      finish what was accepted and stop
  reload    have every process open its log and read its keys anew (SIGHUP)
  sample    send a sample mail through the wrapper

Settings come from config/mta-tracking.yaml, or while there is none from config/mta-tracking.example.yaml.`,
  operands: '[command]',
  options: {
    run: option(listOf(oneOf(...supervisable)), { help: 'What is run.', default: 'console,tracker,feeder,wrapper' }),
    'state-dir': option(path, { help: 'Folder for Redis, logs and state.', default: 'var' }),
    detach: option(flag, {
      help: 'Return once everything is healthy; it goes on in the background.',
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

try {
  const line = readSettings({ ...program, configFile: defaultConfig }, process.argv.slice(2), process.env, version())
  const [command = 'start', ...more] = line.operands
  if (more.length > 0) throw new SettingsError(`unexpected ${JSON.stringify(more[0])}: one command at a time`)
  process.exitCode = await dispatch(command, line.settings)
} catch (error) {
  if (error instanceof Asked) console.log(error.message.trimEnd())
  else if (error instanceof SettingsError) {
    console.error(`start.sh: ${error.message}`)
    process.exitCode = 2
  } else throw error
}

type PipelineSettings = ReturnType<typeof readSettings<typeof program.options>>['settings']

async function dispatch(command: string, settings: PipelineSettings): Promise<number> {
  const stateDir = resolve(root, settings.stateDir)
  const stateFile = join(stateDir, 'run', 'pipeline.json')
  const stoppedMark = join(stateDir, 'run', 'stopped')
  const plan = planPipeline({
    root,
    node: process.execPath,
    configFile: resolve(settings.config ?? defaultConfig),
    stateDir,
    run: settings.run,
    env: process.env,
  })
  const say = settings.quiet ? () => undefined : (text: string) => console.log(text)
  const recorded = readRunningState(stateFile)
  const running = recorded !== undefined && isAlive(recorded.supervisor) ? recorded : undefined

  switch (command) {
    case 'start': {
      if (running) {
        say('mta-tracking is running already.')
        if (!settings.quiet) await printStatus(plan, running, say)
        return 0
      }
      if (settings.unlessStopped && existsSync(stoppedMark)) return 0
      rmSync(stoppedMark, { force: true })
      // Children whose supervisor was killed: ours, and in the way of new ones.
      for (const child of Object.values(recorded?.children ?? {}).toReversed()) await endProcess(child, 12_000)
      forgetRunningState(stateFile)
      mkdirSync(join(stateDir, 'log'), { recursive: true })
      if (!installMissing(plan, root)) return 1
      await makeLinkKeys(plan, root, say)
      const wrong = await checkSettings(plan, root)
      for (const line of wrong) console.error(line)
      if (wrong.length > 0) return 2
      if (settings.detach) return startDetached(join(stateDir, 'log', 'pipeline.log'), settings.quiet)
      return supervise()
    }
    case 'stop': {
      mkdirSync(dirname(stoppedMark), { recursive: true })
      writeFileSync(stoppedMark, '')
      if (running) await endProcess(running.supervisor, 60_000)
      // Whatever a killed supervisor left.
      for (const child of Object.values(recorded?.children ?? {}).toReversed()) await endProcess(child, 12_000)
      forgetRunningState(stateFile)
      say(running ? 'mta-tracking has stopped.' : 'mta-tracking was not running.')
      return 0
    }
    case 'reload': {
      if (!running) {
        console.error('start.sh: nothing to reload: mta-tracking is not running')
        return 3
      }
      process.kill(running.supervisor.pid, 'SIGHUP')
      return 0
    }
    case 'status':
      if (!running) {
        say('mta-tracking is not running. Start it with ./start.sh')
        return 3
      }
      return (await printStatus(plan, running, say)) ? 0 : 4
    case 'sample':
      return (await sendSample(plan, join(root, 'config', 'sample.eml'), text => console.log(text))) ? 0 : 1
    default:
      throw new SettingsError(`unknown command ${JSON.stringify(command)}: start, status, stop, reload or sample`)
  }

  async function supervise(): Promise<number> {
    const supervisor = new Supervisor(plan.children, root, stateFile, text => {
      console.error(`${new Date().toISOString()} ${text}`)
    })
    let stopping = false
    const stop = new Promise<NodeJS.Signals>(resolve => {
      const asked = (signal: NodeJS.Signals) => {
        stopping = true
        resolve(signal)
      }
      process.on('SIGTERM', asked).on('SIGINT', asked)
    })
    process.on('SIGHUP', signal => supervisor.forward(signal))
    const failed = await Promise.race([
      supervisor.start().then(
        () => undefined,
        (error: unknown) => error,
      ),
      stop.then(() => undefined),
    ])
    if (failed !== undefined) {
      await supervisor.stop()
      if (!(failed instanceof ChildFailed)) throw failed
      console.error(`start.sh: ${failed.message}`)
      return 1
    }
    const state = readRunningState(stateFile)
    if (state && !settings.quiet && !stopping) {
      await printStatus(plan, state, say)
      say(tryNext(plan))
    }
    // Tells the call with --detach that waits for it.
    process.send?.('healthy')
    const signal = await stop
    say(`${signal}: stopping`)
    await supervisor.stop()
    return 0
  }
}

/** Starts this same program in the background and waits until it says that all is healthy. */
async function startDetached(logFile: string, quiet: boolean): Promise<number> {
  const output = openSync(logFile, 'a')
  const before = readFileSync(logFile).length
  const args = process.argv.slice(2).filter(word => word !== '--detach' && word !== '-detach')
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args, '--no-detach'], {
    cwd: root,
    stdio: ['ignore', output, output, 'ipc'],
    detached: true,
  })
  const healthy = await new Promise<boolean>(done => {
    child.once('message', () => done(true))
    child.once('exit', () => done(false))
  })
  if (!quiet || !healthy) (healthy ? process.stdout : process.stderr).write(readFileSync(logFile).subarray(before))
  if (child.connected) child.disconnect()
  child.unref()
  return healthy ? 0 : 1
}

function tryNext(plan: ReturnType<typeof planPipeline>): string {
  return [
    '',
    'Try next:',
    ...(plan.wrapper ? ['  ./start.sh sample              send a sample mail through the wrapper'] : []),
    ...(plan.console
      ? [`  http://${plan.console}          see it arrive, open it, follow a link, see the events`]
      : []),
    '  ./start.sh status              how everything is',
    '  ./start.sh stop                stop it; here Ctrl-C does the same',
    `Settings: ${plan.configFile}`,
  ].join('\n')
}

function version(): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version
}
