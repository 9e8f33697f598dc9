/** How far each log was read and sent, and when that is written down. */
import type { SegmentLog } from '../../durable/segment-log.ts'
import type { Health } from '../../process/health.ts'
import type { AgentState, Cursor } from './agent-state.ts'
import type { DeliveryLog } from './delivery-log.ts'
import type { SourcePosition } from './log-source.ts'

/** Least time between two writes of the cursor where nothing is let go of, ms. */
const cursorEveryMs = 1_000
const mapEveryMs = 60_000

type Positions = Record<string, SourcePosition>

export interface ProgressOptions {
  readonly state: AgentState
  readonly deliveryLog: Pick<DeliveryLog, 'save'>
  readonly pending: Pick<SegmentLog, 'lastSeq'>
  readonly health: Health
}

export class Progress {
  readonly #options: ProgressOptions
  /** Up to where events are safe on disk. */
  readonly #read: Positions
  /** Up to where they were let go of. */
  readonly #sent: Positions
  /** Where the state machine stands: behind `read` while a log is read again, else the same. */
  readonly #map: Positions
  #cursorChanged = false
  #cursorSavedMs = Number.NEGATIVE_INFINITY
  #cursorWriting: Promise<void> = Promise.resolve()
  #mapChanged = false
  #mapSavedMs = performance.now()

  constructor(options: ProgressOptions, cursor: Pick<Cursor, 'read' | 'sent'>, map: Cursor['read']) {
    this.#options = options
    this.#read = { ...cursor.read }
    this.#sent = { ...cursor.sent }
    this.#map = { ...map }
  }

  /** A log is followed for the first time, from here. */
  async begins(id: string, position: SourcePosition): Promise<void> {
    this.#read[id] ??= position
    this.#sent[id] ??= position
    this.#cursorChanged = true
    await this.saveCursor()
  }

  /** Events up to there are safe on disk. */
  read(id: string, position: SourcePosition): void {
    this.#read[id] = position
    this.#cursorChanged = true
  }

  /** The state machine knows the log up to there. */
  taught(id: string, position: SourcePosition): void {
    this.#map[id] = position
    this.#mapChanged = true
  }

  /** Events up to there are about to be let go of: then the place behind them must be known elsewhere. Never rejects. */
  async sent(positions: readonly (readonly [id: string, position: SourcePosition])[]): Promise<void> {
    // Not of a log that was forgotten meanwhile: it would count as known, and what comes under its name as read.
    for (const [id, position] of positions) if (this.#read[id]) this.#sent[id] = position
    this.#cursorChanged = true
    await this.saveCursor()
  }

  /** A log is gone for good. */
  forget(id: string): void {
    for (const positions of [this.#read, this.#sent, this.#map]) delete positions[id]
    this.#cursorChanged = true
    this.#mapChanged = true
  }

  get isCursorDue(): boolean {
    return this.#cursorChanged && performance.now() - this.#cursorSavedMs >= cursorEveryMs
  }

  get isMapDue(): boolean {
    return this.#mapChanged && performance.now() - this.#mapSavedMs >= mapEveryMs
  }

  /** One write at a time. Never rejects: health says what is wrong. */
  async saveCursor(): Promise<void> {
    this.#cursorWriting = this.#cursorWriting.then(async () => {
      if (!this.#cursorChanged) return
      this.#cursorSavedMs = performance.now()
      this.#cursorChanged = false
      const { state, pending } = this.#options
      const cursor = { read: this.#read, sent: this.#sent, lastSeq: pending.lastSeq }
      const isSaved = await this.#saving('cursor', () => state.saveCursor(cursor))
      if (!isSaved) this.#cursorChanged = true
    })
    await this.#cursorWriting
  }

  /** Only while all that the state machine knows is safe on disk. Never rejects: health says what is wrong. */
  async saveMap(): Promise<void> {
    const { state, deliveryLog } = this.#options
    this.#mapChanged = false
    const isSaved = await this.#saving('queue-ids', () => state.saveMap(this.#map, deliveryLog.save()))
    if (!isSaved) this.#mapChanged = true
    this.#mapSavedMs = performance.now()
  }

  async #saving(file: string, save: () => Promise<void>): Promise<boolean> {
    try {
      await save()
      this.#options.health.set(file, undefined)
      return true
    } catch (error) {
      const { message } = error as Error
      this.#options.health.set(
        file,
        `the state file ${file} can't be written (${message}): check space and rights of --state-dir`,
      )
      return false
    }
  }
}
