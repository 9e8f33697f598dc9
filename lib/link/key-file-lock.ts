/**
 * One at a time changes a key file: whoever does makes `FILE.lock` first and removes it when the new file is in place.
 * Those who only read take no notice, for the file is replaced in one step.
 */
import { closeSync, existsSync, openSync, realpathSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long another change is waited for, in ms: one takes a few. */
const waitMsMax = 5000

/**
 * Does `work`, which reads a key file and writes it anew, while nobody else does.
 *
 * @throws Error that says what to do when the lock stays, besides whatever `work` throws
 */
export async function withKeyFileLocked<Result>(
  file: string,
  work: () => Promise<Result>,
  waitMs = waitMsMax,
): Promise<Result> {
  const lock = `${existsSync(file) ? realpathSync(file) : file}.lock`
  const deadline = performance.now() + waitMs
  while (!took(lock)) {
    if (performance.now() >= deadline)
      throw new Error(`being changed by another linktool; when none runs, one was killed: remove ${lock}`)
    await sleep(10)
  }
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function took(lock: string): boolean {
  try {
    closeSync(openSync(lock, 'wx', 0o600))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
