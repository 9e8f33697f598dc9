/** How long a stop may take. */
import { killMsMax } from '../process/process-identity.ts'
import type { RunningState } from './running-state.ts'

/** How long a process may take to end after SIGTERM, in milliseconds. It gives itself 9 s; then it is killed. */
export const childStopMs = 12_000

/** What a supervisor does beside waiting for its children. */
const ownMs = 3_000

/** How long a supervisor may take to end all of its children, one after the other, in milliseconds. */
export function supervisorStopMs({ children }: Pick<RunningState, 'children'>): number {
  return children.length * (childStopMs + killMsMax) + ownMs
}
