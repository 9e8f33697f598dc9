/** What an earlier run left in the log of pending events. */
import type { Damage, SegmentLog, SegmentRecord } from '../../durable/segment-log.ts'
import type { Logger } from '../../process/log.ts'
import { StartError } from '../../process/start-error.ts'
import type { Positions } from './agent-state.ts'
import type { ApiEvent } from './api-event.ts'
import { decodePending } from './pending-record.ts'
import type { RecentEvents } from './recent-events.ts'

export interface RecalledPositions {
  /** The last position of each log in it. */
  readonly last: Positions
  /** The same in its records up to the first that is missing. */
  readonly beforeLoss: Positions
}

/** Read at a time, in bytes. */
const readBytes = 256 << 10

/**
 * @param recent learns the events, so that none is reported twice
 * @throws {StartError} when they can't be read at the moment
 */
export async function recallPending(pending: SegmentLog, recent: RecentEvents): Promise<RecalledPositions> {
  const last: Record<string, Positions[string]> = {}
  let beforeLoss: Positions | undefined
  let seq = pending.releasedSeq
  for (;;) {
    const records = await pending.readAs(seq, readBytes, decode).catch((error: unknown) => {
      throw new StartError(`${(error as Error).message}: mend that and start again; nothing is lost`)
    })
    if (records.length === 0) return { last, beforeLoss: beforeLoss ?? last }
    for (const { seq: next, record } of records) {
      if (next !== seq + 1) beforeLoss ??= { ...last }
      seq = next
      const { events, origins, read } = record
      for (const [index, event] of events.entries()) recent.add(JSON.parse(event) as ApiEvent, origins?.[index] ?? '')
      if (read) last[read[0]] = read[1]
    }
  }
}

function decode({ seq, payload }: SegmentRecord) {
  return { seq, record: decodePending(payload, { withOrigins: true }) }
}

/** Says which pending events could not be read back, and what that means. */
export class PendingLoss {
  /** While the process starts, the log can still be read again from before the loss. */
  isStarting = true
  readonly #log: Logger
  readonly #trouble: (text: string) => void
  #isAny = false

  /** @param trouble told in one sentence, for health */
  constructor(log: Logger, trouble: (text: string) => void) {
    this.#log = log
    this.#trouble = trouble
  }

  get isAny(): boolean {
    return this.#isAny
  }

  /** Finds out whether the newest records are gone: they can't be told from a write that was interrupted. */
  compare(pending: SegmentLog, knownSeq: number): void {
    const recordsMissing = knownSeq - pending.lastSeq
    if (recordsMissing > 0)
      this.add({ file: pending.dir, reason: 'its end is missing', recordsMissing, savedAs: undefined })
  }

  add({ file, reason, recordsMissing, savedAs }: Damage): void {
    this.#isAny = true
    this.#log.error({ file, reason, recordsMissing, savedAs }, 'pending events could not be read back')
    const records =
      recordsMissing === undefined ? 'records' : `${recordsMissing} record${recordsMissing === 1 ? '' : 's'}`
    const meaning = this.isStarting
      ? 'the log is read again from before them'
      : 'their events are not sent, all others are'
    const kept = savedAs === undefined ? '' : `; what is left of them is in ${savedAs}`
    this.#trouble(`${file}: ${reason}: ${records} of pending events lost, ${meaning}${kept}`)
  }
}
