/**
 * What a supervisor has running, in a file, so that a second call finds it, also when the configuration has changed or is
 * broken by then, and so that children of a supervisor that was killed can still be found and stopped.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeFolder } from '../process/make-folder.ts'
import type { ProcessIdentity } from '../process/process-identity.ts'
import type { ChildPlan } from './plan.ts'

/** A child as it was started. */
export interface RunningChild extends Pick<ChildPlan, 'name' | 'health' | 'listens'> {
  /** Absent while it is down. */
  readonly identity?: ProcessIdentity | undefined
}

export interface RunningState {
  readonly supervisor: ProcessIdentity
  /** In the order of their start. */
  readonly children: readonly RunningChild[]
  readonly configFile: string
  /** When the configuration was read, Unix ms. */
  readonly startedAt: number
}

/**
 * Undefined when nothing was written or the file is damaged.
 * @throws Error with `code` EACCES when it is another user's
 */
export function readRunningState(file: string): RunningState | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') throw error
    return undefined
  }
  try {
    const state = JSON.parse(text) as Partial<RunningState>
    return state.supervisor && Array.isArray(state.children) ? (state as RunningState) : undefined
  } catch {
    return undefined
  }
}

export function writeRunningState(file: string, state: RunningState): void {
  makeFolder(dirname(file))
  writeFileSync(`${file}.new`, JSON.stringify(state))
  renameSync(`${file}.new`, file)
}

export function forgetRunningState(file: string): void {
  rmSync(file, { force: true })
}
