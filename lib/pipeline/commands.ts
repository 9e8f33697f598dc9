/** What `./start.sh` does beside supervising. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { createTransport } from 'nodemailer'
import { makeFolder } from '../process/make-folder.ts'
import { isAlive } from '../process/process-identity.ts'
import { StartError } from '../process/start-error.ts'
import { probe } from './health-probe.ts'
import type { PipelinePlan } from './plan.ts'
import type { RunningState } from './running-state.ts'

/** Takes lines for people. */
export type Say = (text: string) => void

/**
 * Makes a file of link keys, through the tool that also rotates them.
 * @throws {StartError} when it can't; the reason was told on standard error
 */
export function makeLinkKeys(file: string, root: string): void {
  makeFolder(dirname(file))
  const made = spawnSync(process.execPath, ['cmd/linktool.ts', 'keys', 'new', '--link-keys', file], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (made.status !== 0) throw new StartError(`link keys could not be made in ${file}`)
}

/**
 * Installs what the children need beyond Node: redis-server, when one of our own is to run.
 * @returns false when it is missing and can't be installed; the reason was told on standard error
 */
export function installMissing(plan: PipelinePlan, root: string): boolean {
  if (plan.children.every(child => child.name !== 'redis')) return true
  const script = '. scripts/environment.sh && need_tool redis-server redis-server'
  return (
    spawnSync('bash', ['-c', script, 'start.sh'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
  )
}

/** How long a process may take to judge its settings, in milliseconds: it reads a few files. */
const checkMsDefault = 30_000

/** Beside the plan and the checkout. */
export interface CheckOptions {
  /** Ends what is under way; what it comes to is then of no use. */
  readonly stopping?: AbortSignal
  /** How long a process may take. 30 s. */
  readonly checkMs?: number
}

/**
 * Has every process judge its settings before any is started. Changes nothing: while there are no link keys, it judges
 * with some that it throws away.
 * @returns what is wrong, a line each; empty when all is good
 */
export async function checkSettings(
  plan: PipelinePlan,
  root: string,
  { stopping, checkMs = checkMsDefault }: CheckOptions = {},
): Promise<string[]> {
  const run = promisify(execFile)
  const limits = { timeout: checkMs, killSignal: 'SIGKILL', ...(stopping && { signal: stopping }) } as const
  const keysMissing = plan.linkKeysFile !== undefined && !existsSync(plan.linkKeysFile)
  const dir = keysMissing ? mkdtempSync(join(tmpdir(), 'mta-tracking-')) : undefined
  try {
    const keys = dir === undefined ? {} : { LINK_KEYS_FILE: join(dir, 'link-keys') }
    if (keys.LINK_KEYS_FILE !== undefined) makeLinkKeys(keys.LINK_KEYS_FILE, root)
    const verdicts = plan.children
      .filter(child => child.name !== 'redis')
      .map(async child => {
        const env = { ...process.env, ...child.env, ...keys }
        try {
          await run(child.command, [...child.args, '--check'], { cwd: root, env, ...limits })
          return ''
        } catch (error) {
          const { stderr, message, killed } = error as Error & { stderr?: string; killed?: boolean }
          if (killed)
            return `${child.name}: no word on its settings within ${checkMs / 1000} s: does a file that they name hang?`
          return (stderr || message).trim()
        }
      })
    return (await Promise.all(verdicts)).filter(verdict => verdict !== '')
  } finally {
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
  }
}

/** While the settings are judged, there is a supervisor and nothing else. */
const stillStarting = 'mta-tracking is still being started: call this again in a moment'

/** Prints a line for each process, and one below it for what is wrong with it; whether all are well. */
export async function printStatus(state: RunningState, say: Say): Promise<boolean> {
  if (state.children.length === 0) {
    say(stillStarting)
    return false
  }
  let well = true
  for (const child of state.children) {
    const { name, identity, listens } = child
    const alive = identity !== undefined && isAlive(identity)
    const condition = alive
      ? await probe(child, name === 'redis' ? undefined : identity.pid)
      : ({ state: 'down', trouble: 'not running; it is started again when the supervisor next tries' } as const)
    well &&= condition.state === 'ok'
    const where = listens.map(place => `${place.where}  (${place.what})`).join(', ')
    say(`  ${name.padEnd(8)} ${condition.state.padEnd(8)} ${(alive ? `pid ${identity.pid}` : '').padEnd(11)} ${where}`)
    if (condition.trouble !== undefined) say(`           ${condition.trouble}`)
  }
  return well
}

/**
 * Says when the configuration is not the one that runs.
 * @param call how this pipeline is called
 */
export function sayIfChanged(state: RunningState, configFile: string, call: string, say: Say): void {
  const changedAt = statSync(configFile, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (configFile === state.configFile && changedAt <= state.startedAt) return
  say(`${configFile} has changed since: ${call} --check looks at it, ${call} stop and ${call} apply it.`)
}

/** Where others connect to, of a process that runs: `HOST:PORT` or a URL; undefined when it is not among those. */
export function addressOf(state: RunningState, name: string): string | undefined {
  return state.children.find(child => child.name === name)?.listens[0]?.where
}

/** Sends the sample mail to the wrapper; whether it was accepted. */
export async function sendSample(state: RunningState, file: string, say: Say): Promise<boolean> {
  const wrapper = addressOf(state, 'wrapper')
  if (wrapper === undefined) {
    const why = 'no wrapper runs here, so there is nowhere to send a sample to'
    say(state.children.length === 0 ? stillStarting : why)
    return false
  }
  const [host, port] = splitHostPort(wrapper)
  const transport = createTransport({ host, port, ignoreTLS: true, connectionTimeout: 5_000 })
  try {
    const sent = await transport.sendMail({
      envelope: { from: 'news@shop.example', to: ['alex@customer.example'] },
      raw: readFileSync(file),
    })
    say(`the wrapper at ${wrapper} answered: ${sent.response}`)
    const page = addressOf(state, 'console')
    if (page !== undefined) say(`see it arrive at ${page}`)
    return true
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isUp = code !== 'ESOCKET' || !message.includes('ECONNREFUSED')
    say(isUp ? `the sample was not accepted: ${message}` : `the wrapper at ${wrapper} is not up: see status`)
    return false
  } finally {
    transport.close()
  }
}

function splitHostPort(hostPort: string): [string, number] {
  const colon = hostPort.lastIndexOf(':')
  return [hostPort.slice(0, colon).replace(/^\[|\]$/g, ''), Number(hostPort.slice(colon + 1))]
}
