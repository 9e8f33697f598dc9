/**
 * What a supervisor has running, in a file, so that a second call finds it and so that children of a supervisor that was
 * killed can still be found and stopped. A process is identified by pid and start time: a pid alone is soon another's.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot, field 22 of /proc/PID/stat (proc(5)). */
  readonly startTicks: string
}

export interface RunningState {
  readonly supervisor: ProcessIdentity
  readonly children: Readonly<Record<string, ProcessIdentity>>
}

/** The identity of a live process; undefined when there is none (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The command's name stands in parentheses and may itself hold any character.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const startTicks = fields[19]
  return fields[0] === 'Z' || startTicks === undefined ? undefined : { pid, startTicks }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTicks === identity.startTicks
}

/** Undefined when nothing was written or the file is damaged. */
export function readRunningState(file: string): RunningState | undefined {
  try {
    const state = JSON.parse(readFileSync(file, 'utf8')) as Partial<RunningState>
    return state.supervisor && state.children ? { supervisor: state.supervisor, children: state.children } : undefined
  } catch {
    return undefined
  }
}

export function writeRunningState(file: string, state: RunningState): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, JSON.stringify(state))
  renameSync(`${file}.new`, file)
}

export function forgetRunningState(file: string): void {
  rmSync(file, { force: true })
}

/** Sends SIGTERM, waits, sends SIGKILL to what is still there. Only ever to the very process that was recorded. */
export async function endProcess(identity: ProcessIdentity, waitMs: number): Promise<void> {
  signal(identity, 'SIGTERM')
  const deadline = performance.now() + waitMs
  while (isAlive(identity)) {
    if (performance.now() > deadline) {
      signal(identity, 'SIGKILL')
      return
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return
  try {
    process.kill(identity.pid, name)
  } catch {
    // It ended in between.
  }
}
