/**
 * Turns the lines of a Postfix log into what became of each message at each recipient. A state machine: a line goes in,
 * outcomes come out; the state (`QueueState`) can be written down and taken up again.
 *
 * What it rests on, in the order Postfix writes it:
 *
 * - `client=` and `uid=` open a queue id, whatever it meant before: short ids are used again within seconds;
 * - the UUID comes from the line that header_checks logs, else from the message-id;
 * - `status=` decides what happened, never a reply code; `status=expired` names no recipient and ends all that wait;
 * - `sent` to a content filter, to another instance or by an alias is a hop when the text names a queue id that was opened
 *   in this log meanwhile, on this host or another: the message goes on as that one, which inherits the UUID;
 * - notifications that Postfix sends are messages too, but nobody's.
 */
import { clientDigest } from './client-digest.ts'
import type { CorrelatorOptions } from './correlator-options.ts'
import type { LineVerdict } from './line-verdict.ts'
import { copyOf, outcomeOf, statusOf } from './line-outcome.ts'
import type { LogLine } from './log-line.ts'
import { nextQueueId } from './next-queue-id.ts'
import type { Outcome, PendingOutcome } from './outcome.ts'
import { queueIdEnd } from './queue-id.ts'
import { uuidRank, type QueueIds } from './queue-ids.ts'
import { QueueState, type QueueCounts } from './queue-state.ts'
import { isNearAddress, relayAddress } from './relay.ts'
import { readStatusLine, type StatusLine } from './status-line.ts'
import { findUuid, foundUuid } from './uuid-words.ts'

/** The message that a line belongs to, for explanations. */
export interface LineMessage {
  readonly host: string
  readonly queueId: string
  readonly uuid: string | undefined
}

export class Correlator {
  readonly #options: CorrelatorOptions
  readonly #report: (outcome: Outcome) => void
  readonly #nowMs: () => number
  #state: QueueState
  #ids: QueueIds
  /** Slot of the message of the line that was read last, 0 when it has none. */
  #slot = 0
  #host = ''

  constructor(options: CorrelatorOptions, nowMs: () => number, report: (outcome: Outcome) => void) {
    this.#options = options
    this.#report = report
    this.#nowMs = nowMs
    this.#state = new QueueState(options, nowMs)
    this.#ids = this.#state.ids
  }

  get counts(): QueueCounts {
    return this.#state.counts
  }

  /** Queue ids that are remembered. */
  get size(): number {
    return this.#ids.size
  }

  /** The message of the line that was read last. */
  get message(): LineMessage | undefined {
    const slot = this.#slot
    if (slot === 0) return undefined
    return { host: this.#ids.hostOf(slot), queueId: this.#ids.idOf(slot), uuid: this.#ids.uuid(slot) }
  }

  read(read: LogLine): LineVerdict {
    const { line, from, to } = read
    this.#slot = 0
    const idEnd = queueIdEnd(line, from, to)
    if (idEnd === -1 || line.charCodeAt(idEnd) !== 58 || line.charCodeAt(idEnd + 1) !== 32) return 'skipped'
    if (read.host !== this.#host) this.#setHost(read.host)
    this.#state.advance(read.at / 1000)
    const slot = this.#ids.find(line, from, idEnd)
    if (slot !== 0 && !this.#ids.isRemoved(slot)) this.#ids.touch(slot, this.#state.clockS)
    this.#slot = slot
    return this.#take(read, idEnd, slot)
  }

  /** Forgets what no further line can complete, as at the end of the input; counts results without UUID. */
  end(): void {
    for (const slot of this.#ids.all()) this.#state.giveUp(slot)
  }

  /** The state as lines of text, for `restore`. */
  save(): Generator<string> {
    return this.#state.save()
  }

  /** @throws Error when a line is not what `save` writes; then nothing has changed */
  restore(lines: Iterable<string>): void {
    const state = new QueueState(this.#options, this.#nowMs)
    state.restore(lines)
    this.#state = state
    this.#ids = state.ids
    this.#ids.setHost(this.#host)
  }

  // ── the lines ──

  #take(read: LogLine, idEnd: number, slot: number): LineVerdict {
    const { line } = read
    const at = idEnd + 2
    switch (line.charCodeAt(at)) {
      case 116: // t
        if (line.startsWith('to=', at)) return this.#status(read, at, slot)
        break
      case 99: // c
        if (line.startsWith('client=', at)) return this.#client(read, at, this.#open(line, read.from, idEnd, slot))
        break
      case 117: // u
        if (line.startsWith('uid=', at)) return this.#pickup(read, at, this.#open(line, read.from, idEnd, slot))
        break
      case 109: // m
        if (line.startsWith('message-id=', at)) return this.#messageId(read, idEnd, slot)
        break
      case 102: // f
        if (line.startsWith('from=<', at)) return this.#manager(read, idEnd, slot)
        break
      case 114: // r
        if (line.startsWith('removed', at)) return this.#remove(slot)
        break
      case 115: // s
        if (line.startsWith('sender ', at)) return this.#notification(read, at)
        break
      case 112: // p
        if (line.startsWith('postmaster ', at)) return this.#notification(read, at)
        break
      default:
    }
    const header = line.indexOf(': header ', at)
    if (header !== -1 && header < at + 12) return this.#header(read, header + 9, idEnd, slot)
    return 'other'
  }

  #client({ line, to }: LogLine, at: number, slot: number): LineVerdict {
    const bracket = line.indexOf('[', at)
    const close = line.indexOf(']', bracket)
    if (bracket === -1 || close === -1) return 'correlation'
    const address = line.slice(bracket + 1, close)
    if (!isNearAddress(address)) this.#ids.setClient(slot, clientDigest(address))
    let next = close + 1
    if (line.charCodeAt(next) === 58) next = line.indexOf(',', next)
    if (next !== -1 && line.startsWith(', orig_queue_id=', next)) {
      const id = next + ', orig_queue_id='.length
      const end = queueIdEnd(line, id, to)
      const parent = end === -1 ? 0 : this.#ids.find(line, id, end)
      if (parent !== 0 && parent !== slot) this.#inherit(parent, slot)
    }
    return 'correlation'
  }

  #pickup({ line, to }: LogLine, at: number, slot: number): LineVerdict {
    // After a requeue; the old id gets no line of its own.
    const mark = line.lastIndexOf('> orig_id=', to)
    if (mark <= at) return 'correlation'
    const id = mark + '> orig_id='.length
    const parent = queueIdEnd(line, id, to) === to ? this.#ids.find(line, id, to) : 0
    if (parent !== 0 && parent !== slot) {
      this.#inherit(parent, slot)
      this.#state.movePending(parent, slot)
      this.#remove(parent)
    }
    return 'correlation'
  }

  #messageId({ line, from, to }: LogLine, idEnd: number, known: number): LineVerdict {
    const slot = this.#openIfGone(line, from, idEnd, known)
    if (this.#ids.hasMessageIdUuid(slot)) return 'correlation'
    if (!findUuid(line, idEnd + 2 + 'message-id='.length, to)) return 'correlation'
    this.#identify(slot, foundUuid, uuidRank.messageId)
    // Second, as what counts already is not kept again.
    this.#ids.setMessageIdUuid(slot, foundUuid)
    return 'correlation'
  }

  /** What header_checks logs: `info: header X-Sendpost-Message-UUID: VALUE from HOST[ADDRESS]; from=<…> to=<…> …` */
  #header({ line, from, to }: LogLine, name: number, idEnd: number, known: number): LineVerdict {
    const value = name + uuidHeaderName.length + 1
    if (line.charCodeAt(value - 1) !== 58 || line.slice(name, value - 1).toLowerCase() !== uuidHeaderName)
      return 'other'
    const slot = this.#openIfGone(line, from, idEnd, known)
    if (this.#ids.rank(slot) === uuidRank.header || this.#ids.hasNullSender(slot)) return 'correlation'
    // Postfix writes `from` behind the value; what else says so stands in the value and is the sender's.
    const end = line.indexOf(' from ', value)
    if (!findUuid(line, value, Math.min(end === -1 ? to : end, value + valueCharsMax, to))) return 'correlation'
    // A bounce that carries the original: not this message's own.
    if (line.includes('; from=<> to=<', value)) return 'correlation'
    this.#identify(slot, foundUuid, uuidRank.header)
    return 'correlation'
  }

  #manager(read: LogLine, idEnd: number, known: number): LineVerdict {
    const { line, from, to } = read
    if (endsWith(line, to, ', returned to sender')) {
      const forced = endsWith(line, to, ', status=force-expired, returned to sender')
      if (forced || endsWith(line, to, ', status=expired, returned to sender'))
        return this.#expire(read, known, forced ? 'force-expired' : 'expired')
    }
    if (!endsWith(line, to, ' (queue active)')) return 'other'
    // Active again after it was removed: another message, whose first lines are missing.
    const slot = known !== 0 && this.#ids.isRemoved(known) ? this.#open(line, from, idEnd, known) : known
    if (slot !== 0 && line.startsWith('from=<>,', idEnd + 2)) {
      this.#ids.setNullSender(slot)
      if (this.#ids.rank(slot) === uuidRank.header) this.#ids.dropHeaderUuid(slot)
    }
    return 'correlation'
  }

  #remove(slot: number): LineVerdict {
    if (slot === 0 || this.#ids.isRemoved(slot)) return 'correlation'
    this.#ids.setRemoved(slot, this.#state.clockS)
    this.#state.clearPending(slot)
    return 'correlation'
  }

  /** `sender non-delivery notification: QUEUEID` and its likes; before or after the first lines of that id. */
  #notification({ line, to }: LogLine, at: number): LineVerdict {
    const words = line.indexOf(' notification: ', at)
    if (words === -1 || words > at + 40) return 'other'
    const id = words + ' notification: '.length
    if (queueIdEnd(line, id, to) !== to) return 'other'
    const slot = this.#openIfGone(line, id, to, this.#ids.find(line, id, to))
    this.#ids.setNotification(slot)
    this.#state.giveUp(slot)
    return 'correlation'
  }

  #status(read: LogLine, at: number, slot: number): LineVerdict {
    const { line } = read
    const found = readStatusLine(line, at, read.to)
    if (!found) return 'malformed'
    const status = statusOf(line, found.statusFrom, found.statusEnd)
    if (status === undefined) return 'malformed'
    if (status.type === 'probe') return 'probe'
    if (slot === 0) return 'orphan'
    const ids = this.#ids
    if (ids.isNotification(slot) || (ids.hasNullSender(slot) && ids.rank(slot) === uuidRank.none)) return 'notification'
    const outcome = outcomeOf(read, found, at, status.word, status.type)
    const { to, origTo } = outcome.log
    const waits = ids.pending(slot) === 0 ? 0 : this.#state.pending.find(slot, to, origTo)
    if (status.type === 'deferred' || status.type === 'soft_bounced') return this.#deferred(slot, waits, outcome)
    if (waits !== 0) this.#state.deletePending(slot, waits)
    if (status.type === 'delivered' && this.#isHop(slot, line, found, outcome.log.relay)) return 'hop'
    return this.#tell(slot, outcome)
  }

  /** A result that is not final: kept until there is one, for an expiry names no recipient. */
  #deferred(slot: number, waits: number, outcome: PendingOutcome): LineVerdict {
    const { pending } = this.#state
    const before = waits === 0 ? undefined : pending.get(waits)
    const soft = outcome.type === 'soft_bounced'
    const due = before === undefined || (soft ? !before.softReported : this.#isDue(before.reportedAtMs))
    if (before !== undefined || this.#state.hasRoomForPending) {
      const { to, origTo, relay, dsn } = outcome.log
      const { code, description } = outcome
      const reportedAtMs = due ? this.#state.clockMs : before.reportedAtMs
      const softReported = soft || before?.softReported === true
      this.#state.setPending(slot, waits, { to, origTo, relay, dsn, code, description, reportedAtMs, softReported })
    } else this.#state.counts.pendingNotKept++
    return due ? this.#tell(slot, outcome) : 'repeat'
  }

  #isDue(reportedAtMs: number): boolean {
    const { deferredIntervalMs } = this.#options
    return deferredIntervalMs === 0 || this.#state.clockMs - reportedAtMs >= deferredIntervalMs
  }

  #expire({ at }: LogLine, slot: number, status: string): LineVerdict {
    if (slot === 0) return 'orphan'
    let verdict: LineVerdict = 'correlation'
    const queueId = this.#ids.idOf(slot)
    const list = this.#state.pending.list(this.#ids.pending(slot))
    this.#state.clearPending(slot)
    for (const { to, origTo, relay, dsn, code, description } of list) {
      const log = { queueId, to, origTo, relay, dsn, status }
      verdict = this.#tell(slot, { type: 'soft_bounced', at, recipient: origTo ?? to, code, description, log })
    }
    return verdict
  }

  // ── what follows from them ──

  /** Whether the message only went on under another queue id of this log; if so that one inherits its UUID. */
  #isHop(slot: number, line: string, { textFrom, textEnd }: StatusLine, relay: string): boolean {
    const near = relayAddress(relay)
    const id = nextQueueId(line, textFrom, textEnd)
    if (id !== -1) {
      const end = queueIdEnd(line, id, textEnd)
      let next = this.#ids.find(line, id, end)
      // Another machine of ours that logs to the same place, or an instance that goes by a name of its own.
      if (next === 0 || !this.#goesOnAs(slot, next, near)) {
        const isIt = (other: number) => this.#goesOnAs(slot, other, near) && this.#mayBeSame(slot, other)
        next = this.#ids.findElsewhere(line, id, end, isIt)
      }
      if (next !== 0) {
        this.#inherit(slot, next)
        return true
      }
    }
    // local(8) alone says so, and only of a message that it put into this queue.
    if (near === undefined && line.startsWith('forwarded as ', textFrom)) return true
    const { hopRelays } = this.#options
    return hopRelays.length > 0 && (hopRelays.includes(relay) || hopRelays.includes(relay.slice(0, relay.indexOf('['))))
  }

  /** A reply of a remote server may name any queue id: only one that can be this message's next is believed. */
  #goesOnAs(slot: number, next: number, relay: string | undefined): boolean {
    const ids = this.#ids
    if (!ids.isAfter(next, slot)) return false
    if (ids.rank(next) !== uuidRank.none && ids.rank(next) === ids.rank(slot) && !ids.sameUuid(next, slot)) return false
    if (relay === undefined || isNearAddress(relay)) return true
    const [first, second] = clientDigest(relay)
    const client = ids.clientOf(next)
    return client[0] === first && client[1] === second
  }

  /** Whether nothing that is known of the next speaks against its being the same message. */
  #mayBeSame(slot: number, next: number): boolean {
    const ids = this.#ids
    const messageId = ids.messageIdUuid(next)
    return (
      ids.rank(next) === uuidRank.none ||
      ids.sameUuid(next, slot) ||
      (messageId !== undefined && messageId === ids.messageIdUuid(slot))
    )
  }

  #inherit(parent: number, child: number): void {
    const rank = this.#ids.rank(parent)
    if (rank === uuidRank.none) this.#state.held.addChild(parent, child)
    else {
      const uuid = new Uint32Array(4)
      this.#ids.copyUuid(parent, uuid)
      this.#identify(child, uuid, rank)
    }
  }

  /** Gives a message its UUID, unless it has a better or an earlier one, and lets go what waited for it; so with what it went on as. */
  #identify(first: number, uuid: Uint32Array, rank: number): void {
    const { held } = this.#state
    // No recursion: nothing bounds the number of hops.
    const slots = [first]
    for (let slot = slots.pop(); slot !== undefined; slot = slots.pop()) {
      if (rank <= this.#ids.rank(slot)) continue
      this.#ids.setUuid(slot, uuid, rank)
      for (const outcome of held.take(slot)) this.#report({ ...outcome, uuid: this.#ids.uuid(slot)! })
      slots.push(...held.takeChildren(slot))
    }
  }

  #tell(slot: number, outcome: PendingOutcome): LineVerdict {
    const uuid = this.#ids.uuid(slot)
    if (uuid !== undefined) {
      const { type, at, recipient, code, description, log } = outcome
      this.#report({ uuid, type, at, recipient, code, description, log })
      return 'event'
    }
    if (!this.#state.held.hold(slot, copyOf(outcome))) this.#state.counts.withoutUuid++
    return 'held'
  }

  // ── opening and forgetting ──

  #setHost(host: string): void {
    this.#host = host
    this.#ids.setHost(host)
  }

  #openIfGone(line: string, from: number, to: number, known: number): number {
    const slot = known !== 0 && !this.#ids.isRemoved(known) ? known : this.#open(line, from, to, known)
    this.#slot = slot
    return slot
  }

  /** @param known what the id meant until now, or 0 */
  #open(line: string, from: number, to: number, known: number): number {
    this.#slot = this.#state.open(line, from, to, known)
    return this.#slot
  }
}

const uuidHeaderName = 'x-sendpost-message-uuid'
/** Postfix cuts name and value together at 200 bytes. */
const valueCharsMax = 220

function endsWith(line: string, to: number, words: string): boolean {
  return line.startsWith(words, to - words.length)
}
