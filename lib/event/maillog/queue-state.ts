/**
 * All that is known of the messages in the queue, and for how long: what lines change, what is written down and taken up
 * again. It has a clock of its own, by the log.
 */
import { clientDigest } from './client-digest.ts'
import type { CorrelatorOptions } from './correlator-options.ts'
import { HeldResults } from './held-results.ts'
import type { PendingOutcome } from './outcome.ts'
import { PendingRecipients, type Pending } from './pending-recipients.ts'
import { queueIdEnd } from './queue-id.ts'
import { QueueIds, uuidRank } from './queue-ids.ts'
import { findUuid, foundUuid } from './uuid-words.ts'

/** For every message that may be in the queue, this many recipients that wait. */
const pendingPerEntryMax = 4
/** For each of these so much memory on average: what most take. Whoever sends long addresses takes it from all. */
const pendingBytesEach = 256
const sweepMs = 10 * 60_000
/** A line may be this far ahead of this machine's clock and still move the clock that things expire by. */
const aheadMsMax = 3_600_000

export interface QueueCounts {
  /** Results whose message never got a UUID. */
  withoutUuid: number
  /** Queue ids forgotten to make room. */
  evicted: number
  /** Queue ids forgotten after their time to live. */
  expired: number
  /** Recipients that wait and were not remembered for want of room: an expiry will not name them. */
  pendingNotKept: number
}

/** A message as one line of JSON, short: there may be hundreds of thousands. Times are Unix ms. */
interface SavedMessage {
  /** Host, queue id, serial (earlier versions had none), last sign of life. */
  h: string
  q: string
  s?: number
  t: number
  /** UUID and its rank, UUID in the message-id: 1 where it is the same. */
  u?: string
  k?: number
  m?: string | 1
  /** Null sender, notification. */
  z?: 1
  n?: 1
  /** Client: its digest, or (earlier versions) its address. */
  c?: readonly [number, number] | string
  /** When it left the queue. */
  r?: number
  /** Recipients that wait, results that wait for the UUID, the queue ids that it went on as: on another host with that. */
  p?: readonly (SavedPending | Pending)[]
  w?: readonly PendingOutcome[]
  g?: readonly (string | readonly [host: string, id: string])[]
}

/** To, original to, relay, enhanced code, code, description, reported at, SOFTBOUNCE reported; earlier versions named them. */
type SavedPending = readonly [string, string | 0, string, string, number, string, number, 0 | 1]

export class QueueState {
  readonly ids = new QueueIds()
  readonly pending: PendingRecipients
  readonly held = new HeldResults(this.ids)
  readonly counts: QueueCounts = { withoutUuid: 0, evicted: 0, expired: 0, pendingNotKept: 0 }
  readonly #options: CorrelatorOptions
  readonly #nowMs: () => number
  #clockMs = 0
  #clockS = 0
  /** When those without sign of life were looked for last, by the same clock. */
  #sweptMs = 0

  constructor(options: CorrelatorOptions, nowMs: () => number) {
    this.#options = options
    this.#nowMs = nowMs
    this.pending = new PendingRecipients(pendingBytesEach * pendingPerEntryMax * options.entriesMax)
  }

  /** Time by the log, never going back, Unix ms. */
  get clockMs(): number {
    return this.#clockMs
  }

  /** The same in whole seconds. */
  get clockS(): number {
    return this.#clockS
  }

  /** Opens a queue id. @param known what it meant until now, or 0: that is forgotten */
  open(line: string, from: number, to: number, known: number): number {
    if (known !== 0) this.#forget(known)
    // More than one where an earlier run was allowed more.
    while (this.ids.size >= this.#options.entriesMax && this.#evict()) this.counts.evicted++
    return this.ids.open(line, from, to, this.#clockS)
  }

  /** The results of a message that wait for its UUID will not get one. */
  giveUp(slot: number): void {
    this.counts.withoutUuid += this.held.take(slot).length
  }

  /** The log has come to a time: forgets what left the queue a while ago, and what shows no sign of life. */
  advance(lineMs: number): void {
    if (!(lineMs > this.#clockMs)) return
    if (lineMs > this.#nowMs() + aheadMsMax) return
    this.#setClock(lineMs)
    const { ids } = this
    const gone = this.#clockS - this.#options.removedGraceMs / 1000
    for (let slot = ids.firstRemoved; slot !== 0 && ids.touchedS(slot) <= gone; slot = ids.firstRemoved)
      this.#forget(slot)
    if (this.#clockMs - this.#sweptMs >= sweepMs) this.#sweep()
  }

  get hasRoomForPending(): boolean {
    return this.pending.size < pendingPerEntryMax * this.#options.entriesMax
  }

  setPending(slot: number, known: number, pending: Pending): void {
    if (known !== 0) this.deletePending(slot, known)
    const first = this.pending.add(slot, this.ids.pending(slot), pending)
    if (first === undefined) this.counts.pendingNotKept++
    else this.ids.setPending(slot, first)
  }

  deletePending(slot: number, number: number): void {
    this.ids.setPending(slot, this.pending.delete(number, this.ids.pending(slot)))
  }

  clearPending(slot: number): void {
    const first = this.ids.pending(slot)
    if (first === 0) return
    this.pending.clear(first)
    this.ids.setPending(slot, 0)
  }

  /** The recipients of a message wait under another queue id from now on. */
  movePending(from: number, to: number): void {
    const list = this.pending.list(this.ids.pending(from))
    this.clearPending(from)
    for (const pending of list) this.setPending(to, this.pending.find(to, pending.to, pending.origTo), pending)
  }

  *save(): Generator<string> {
    yield JSON.stringify({ clock: this.#clockMs, swept: this.#sweptMs })
    for (const slot of this.ids.all()) yield JSON.stringify(this.#saved(slot))
  }

  /**
   * Of one that knows nothing yet.
   * @throws Error for a line that `save` did not write; then it is not to be used
   */
  restore(lines: Iterable<string>): void {
    const messages = lines[Symbol.iterator]()
    const header = messages.next().value as string | undefined
    const { clock, swept } = JSON.parse(header ?? '') as { clock?: unknown; swept?: unknown }
    if (typeof clock !== 'number') throw new Error('it does not say what time it is of')
    this.#setClock(clock)
    // Earlier versions did not say it: things then expire a little earlier.
    if (typeof swept === 'number') this.#sweptMs = swept
    const { ids } = this
    const parents: [parent: number, host: string, children: NonNullable<SavedMessage['g']>][] = []
    for (let next = messages.next(); next.done !== true; next = messages.next()) {
      const line = next.value
      const saved = JSON.parse(line) as SavedMessage
      // Earlier versions took longer ones, for which a slot has no room.
      if (queueIdEnd(saved.q, 0, saved.q.length) !== saved.q.length) throw new Error('it holds what is no queue id')
      ids.setHost(saved.h)
      const slot = ids.open(saved.q, 0, saved.q.length, seconds(saved.t), saved.s)
      this.#restore(slot, saved)
      if (saved.g) parents.push([slot, saved.h, saved.g])
    }
    for (const [parent, host, children] of parents) {
      for (const named of children) {
        const [on, id] = typeof named === 'string' ? [host, named] : named
        ids.setHost(on)
        const child = ids.find(id, 0, id.length)
        if (child !== 0) this.held.addChild(parent, child)
      }
    }
  }

  #setClock(ms: number): void {
    this.#clockMs = ms
    this.#clockS = seconds(ms)
  }

  /** With all that hangs on it. */
  #forget(slot: number): void {
    this.giveUp(slot)
    this.held.takeChildren(slot)
    this.clearPending(slot)
    this.ids.forget(slot)
  }

  /** False when there is nothing to forget. */
  #evict(): boolean {
    const oldest = this.ids.oldest()
    if (oldest === 0) return false
    this.#forget(oldest)
    return true
  }

  #sweep(): void {
    this.#sweptMs = this.#clockMs
    const dead = this.#clockS - this.#options.ttlMs / 1000
    for (const slot of this.ids.all()) {
      if (this.ids.touchedS(slot) >= dead || this.ids.isRemoved(slot)) continue
      // Seen while this machine's clock was so far behind that the log had none: its age is not known.
      if (this.ids.touchedS(slot) === 0) {
        this.ids.touch(slot, this.#clockS)
        continue
      }
      this.#forget(slot)
      this.counts.expired++
    }
    this.ids.sweepHosts()
  }

  #saved(slot: number): SavedMessage {
    const { ids } = this
    const uuid = ids.uuid(slot)
    const messageId = ids.messageIdUuid(slot)
    const client = ids.clientOf(slot)
    const pending = this.pending.list(ids.pending(slot))
    const held = this.held.heldOf(slot)
    const children = this.held.childrenOf(slot)
    return {
      h: ids.hostOf(slot),
      q: ids.idOf(slot),
      s: ids.serialOf(slot),
      t: ids.touchedS(slot) * 1000,
      ...(uuid !== undefined && { u: uuid, k: ids.rank(slot) }),
      ...(messageId !== undefined && { m: messageId === uuid ? (1 as const) : messageId }),
      ...(ids.hasNullSender(slot) && { z: 1 as const }),
      ...(ids.isNotification(slot) && { n: 1 as const }),
      ...((client[0] !== 0 || client[1] !== 0) && { c: client }),
      ...(ids.isRemoved(slot) && { r: ids.touchedS(slot) * 1000 }),
      ...(pending.length > 0 && { p: pending.map(savedPending) }),
      ...(held.length > 0 && { w: held }),
      ...(children.length > 0 && { g: children.map(child => this.#named(child, ids.hostOf(slot))) }),
    }
  }

  #named(slot: number, host: string): string | readonly [host: string, id: string] {
    const { ids } = this
    return ids.hostOf(slot) === host ? ids.idOf(slot) : [ids.hostOf(slot), ids.idOf(slot)]
  }

  #restore(slot: number, saved: SavedMessage): void {
    const { ids } = this
    // Earlier versions did not tell one that was inherited from the message's own.
    const { m = saved.s === undefined && saved.k === uuidRank.messageId ? 1 : undefined } = saved
    const messageId = m === 1 ? saved.u : m
    if (saved.u !== undefined && findUuid(saved.u, 0, saved.u.length)) ids.setUuid(slot, foundUuid, saved.k ?? 0)
    if (messageId !== undefined && findUuid(messageId, 0, messageId.length)) ids.setMessageIdUuid(slot, foundUuid)
    if (saved.z) ids.setNullSender(slot)
    if (saved.n) ids.setNotification(slot)
    if (saved.c !== undefined) ids.setClient(slot, typeof saved.c === 'string' ? clientDigest(saved.c) : saved.c)
    for (const pending of saved.p ?? []) this.setPending(slot, 0, 'to' in pending ? pending : restoredPending(pending))
    for (const outcome of saved.w ?? []) this.held.hold(slot, outcome)
    if (saved.r !== undefined) ids.setRemoved(slot, seconds(saved.r))
  }
}

function savedPending(pending: Pending): SavedPending {
  const { to, origTo = 0, relay, dsn, code = 0, description, reportedAtMs, softReported } = pending
  return [to, origTo, relay, dsn, code, description, reportedAtMs, softReported ? 1 : 0]
}

function restoredPending([to, origTo, relay, dsn, code, description, reportedAtMs, soft]: SavedPending): Pending {
  return {
    to,
    origTo: origTo === 0 ? undefined : origTo,
    relay,
    dsn,
    code: code === 0 ? undefined : code,
    description,
    reportedAtMs,
    softReported: soft === 1,
  }
}

function seconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000))
}
