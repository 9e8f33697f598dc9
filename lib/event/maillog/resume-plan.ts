/** Where each log goes on after a start, from all that an earlier run left. */
import type { Cursor, Positions, SavedState } from './agent-state.ts'
import type { Resume, SourcePosition } from './log-source.ts'
import type { RecalledPositions } from './recall-pending.ts'

export interface ResumePlan {
  /** Where reading and sending stand; without what has to be read again. */
  readonly cursor: Pick<Cursor, 'read' | 'sent'>
  /** Whether the state machine as it was saved serves. */
  readonly usesMap: boolean
  resume: (id: string) => Resume
}

/**
 * The cursor says up to where events were taken over, and so does each record of pending events: the later one counts.
 * Where pending events are lost, the log is taken over again from before them; those that are still pending are known and
 * not taken twice.
 * @param isPendingDamaged records of pending events are missing
 */
export function resumePlan(saved: SavedState, pending: RecalledPositions, isPendingDamaged: boolean): ResumePlan {
  const { sent } = saved.cursor
  const read = isPendingDamaged ? later(sent, pending.beforeLoss) : later(saved.cursor.read, pending.last)
  const map = saved.map?.positions ?? {}
  // A state machine that has read further would not make the lost events again.
  const usesMap =
    saved.map !== undefined && !(isPendingDamaged && Object.keys(map).some(id => isBehind(read[id], map[id]!)))
  return {
    cursor: { read, sent },
    usesMap,
    resume: id => {
      const from = usesMap ? map[id] : undefined
      return { from, through: read[id] ?? from, damaged: saved.damaged || isPendingDamaged }
    },
  }
}

function isBehind(position: SourcePosition | undefined, other: SourcePosition): boolean {
  return position === undefined || position.lines < other.lines
}

/** Of each log the later position. */
function later(a: Positions, b: Positions): Positions {
  const latest: Record<string, SourcePosition> = { ...a }
  for (const [id, position] of Object.entries(b)) if (isBehind(latest[id], position)) latest[id] = position
  return latest
}
