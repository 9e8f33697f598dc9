/** Processes and ports for tests: started on free places, waited for with a deadline, ended by pid. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface StartedProcess {
  readonly pid: number
  readonly child: ChildProcess
  /** What it has written so far. */
  readonly output: { readonly stdout: string; readonly stderr: string }
  /** Settles when it has ended. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** Sends a signal; no-op when it has ended. */
  kill: (signal?: NodeJS.Signals) => void
  /** Asks it to end (SIGTERM), insists after `graceMs` (SIGKILL), waits for the end. */
  stop: (graceMs?: number) => Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

export interface StartOptions {
  readonly cwd?: string
  /** Over the environment of the test; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Written to its standard input, which is then closed. Without it standard input stays open: `child.stdin`. */
  readonly input?: string | Uint8Array
}

/**
 * Starts a program. It dies with the test process, however that ends (`setpriv --pdeathsig`).
 * @param command `node` stands for the Node that runs the test
 */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<StartedProcess> {
  const program = command === 'node' ? process.execPath : command
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  child.stdin.on('error', () => undefined)
  if (options.input !== undefined) child.stdin.end(options.input)
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(resolve => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject))
  const kill = (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
  }
  return {
    pid: child.pid!,
    child,
    output,
    exited,
    kill,
    stop: async (graceMs = 5_000) => {
      // A stopped process (SIGSTOP) hears nothing else.
      kill('SIGCONT')
      kill('SIGTERM')
      const insist = setTimeout(() => kill('SIGKILL'), graceMs)
      const end = await exited
      clearTimeout(insist)
      return end
    },
  }
}

/**
 * Waits until `condition` gives something other than false, undefined or null, and returns that. An Error thrown by it
 * counts as "not yet" and is shown when time is up.
 * @param what ends the sentence "waited N ms for …"
 */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | null | Promise<T | false | undefined | null>,
  timeoutMs = 30_000,
  everyMs = 10,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value !== false && value !== undefined && value !== null) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause: last })
    await sleep(everyMs)
  }
}

/**
 * Where ports are taken from: below those that the kernel gives to outgoing connections (ip_local_port_range), of which
 * one may have the port by the time that it is listened on.
 */
const ports = { min: 12_000, max: 32_000 }
const given = new Set<number>()

/** A port of 127.0.0.1 that nobody listens on at the moment, and that this process was not given before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(ports.min, ports.max)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Waits until something accepts connections there. */
export async function waitForPort(port: number, host = '127.0.0.1', timeoutMs = 30_000): Promise<void> {
  await until(`${host}:${port} to accept connections`, () => canConnect(port, host), timeoutMs)
}

function canConnect(port: number, host: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, host)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
