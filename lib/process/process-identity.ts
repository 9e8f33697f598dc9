/** Processes known for sure: a pid alone is soon another's. */
import { readFileSync } from 'node:fs'

/** How long a process that was killed may take to be gone, in milliseconds; one that hangs in the kernel is not waited for any longer. */
export const killMsMax = 5_000

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks from boot to its start, field 22 of /proc/PID/stat (proc(5)), and which boot that was. */
  readonly started: string
}

/** The identity of a live process; undefined when there is none (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string
  let boot: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return undefined
  }
  // The command's name stands in parentheses and may itself hold any character.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields[19]
  return fields[0] === 'Z' || ticks === undefined ? undefined : { pid, started: `${ticks}@${boot}` }
}

/** Whether it still runs. One of another user that /proc hides (proc(5), `hidepid`) may be it, and so counts as alive. */
export function isAlive(identity: ProcessIdentity): boolean {
  const found = identify(identity.pid)
  return found ? found.started === identity.started : isHidden(identity.pid)
}

/** What is ours can be looked at, and be signalled: only what can't be either is hidden. */
function isHidden(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPERM') return !isReadable(`/proc/${pid}/stat`)
  }
  return false
}

function isReadable(file: string): boolean {
  try {
    readFileSync(file)
    return true
  } catch {
    return false
  }
}

/**
 * Sends SIGTERM, waits, sends SIGKILL to what is still there and waits for its end. Only ever to the very process that was recorded.
 * @throws Error with `code` EPERM when the process is another user's
 */
export async function endProcess(identity: ProcessIdentity, waitMs: number): Promise<void> {
  signal(identity, 'SIGTERM')
  const deadline = performance.now() + waitMs
  while (isAlive(identity)) {
    if (performance.now() > deadline + killMsMax) return
    if (performance.now() > deadline) signal(identity, 'SIGKILL')
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return
  try {
    process.kill(identity.pid, name)
  } catch (error) {
    // ESRCH: it ended in between.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
