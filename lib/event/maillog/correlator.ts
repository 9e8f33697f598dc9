/**
 * Turns the lines of a Postfix log into what became of each message at each recipient. A state machine: a line goes in,
 * outcomes come out; the state can be written down and taken up again.
 *
 * What it rests on, in the order Postfix writes it:
 *
 * - `client=` and `uid=` open a queue id, whatever it meant before: short ids are used again within seconds;
 * - the UUID comes from the line that header_checks logs, else from the message-id;
 * - `status=` decides what happened, never a reply code; `status=expired` names no recipient and ends all that wait;
 * - `sent` to a content filter, to another instance or by an alias is a hop when the text names a queue id that was opened
 *   in this log meanwhile: the message goes on as that one, which inherits the UUID;
 * - notifications that Postfix sends are messages too, but nobody's.
 */
import type { CorrelatorOptions } from './correlator-options.ts'
import { descriptionBytesMax, keptDescription } from './kept-description.ts'
import { keptText } from './kept-text.ts'
import type { LineVerdict } from './line-verdict.ts'
import type { LogLine } from './log-line.ts'
import { messageUuid } from './message-uuid.ts'
import type { Outcome, OutcomeType } from './outcome.ts'
import { QueueEntry, restoreEntry, saveEntry, uuidRank, type Pending, type PendingOutcome } from './queue-entry.ts'
import { isQueueId, queueIdEnd } from './queue-id.ts'
import { isNearAddress, relayAddress } from './relay.ts'
import { PendingRecipients } from './pending-recipients.ts'
import { SharedWords } from './shared-words.ts'
import { smtpReplyCode } from './smtp-reply.ts'
import { readStatusLine, type StatusLine } from './status-line.ts'

/** Recipients remembered of one message, and results held for one. */
const recipientsMax = 10_000
/** Results held for messages without UUID, all together. */
const heldMax = 20_000
const sweepMs = 10 * 60_000
/** A line may be this far ahead of this machine's clock and still move the clock that things expire by. */
const aheadMsMax = 3_600_000

export interface CorrelatorCounts {
  /** Results whose message never got a UUID. */
  withoutUuid: number
  /** Queue ids forgotten to make room. */
  evicted: number
  /** Queue ids forgotten after their time to live. */
  expired: number
}

export class Correlator {
  readonly #options: CorrelatorOptions
  readonly #report: (outcome: Outcome) => void
  readonly #nowMs: () => number
  readonly #hosts = new Map<string, Map<string, QueueEntry>>()
  /** Relays and codes, which are few. */
  readonly #words = new SharedWords(4096)
  readonly counts: CorrelatorCounts = { withoutUuid: 0, evicted: 0, expired: 0 }
  /** The message of the line that was read last, for explanations. */
  entry: QueueEntry | undefined
  #host = ''
  #entries = new Map<string, QueueEntry>()
  #size = 0
  #held = 0
  #serial = 0
  /** Time by the log, never going back, Unix ms. */
  #clockMs = 0
  #sweptMs = 0
  /** Those that left the queue, in order. */
  #removed: QueueEntry[] = []
  #removedFrom = 0

  constructor(options: CorrelatorOptions, nowMs: () => number, report: (outcome: Outcome) => void) {
    this.#options = options
    this.#nowMs = nowMs
    this.#report = report
    this.#hosts.set('', this.#entries)
  }

  /** Queue ids that are remembered. */
  get size(): number {
    return this.#size
  }

  read(read: LogLine): LineVerdict {
    const { line, from, to } = read
    this.entry = undefined
    const idEnd = queueIdEnd(line, from, to)
    if (idEnd === -1 || line.charCodeAt(idEnd) !== 58 || line.charCodeAt(idEnd + 1) !== 32) return 'skipped'
    if (read.host !== this.#host) this.#setHost(read.host)
    this.#advance(read.at / 1000)
    const queueId = line.slice(from, idEnd)
    const at = idEnd + 2
    const entry = this.#entries.get(queueId)
    if (entry && entry.removedMs === 0) entry.touchedMs = this.#clockMs
    this.entry = entry
    switch (line.charCodeAt(at)) {
      case 116: // t
        if (line.startsWith('to=', at)) return this.#status(read, at, entry)
        break
      case 99: // c
        if (line.startsWith('client=', at)) return this.#client(read, at, queueId)
        break
      case 117: // u
        if (line.startsWith('uid=', at)) return this.#pickup(read, at, queueId)
        break
      case 109: // m
        if (line.startsWith('message-id=', at)) return this.#messageId(read, at, queueId, entry)
        break
      case 102: // f
        if (line.startsWith('from=<', at)) return this.#manager(read, at, queueId, entry)
        break
      case 114: // r
        if (line.startsWith('removed', at)) return this.#remove(entry)
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
    if (header !== -1 && header < at + 12) return this.#header(read, header + 9, queueId, entry)
    return 'other'
  }

  /** Forgets what no further line can complete, as at the end of the input; counts results without UUID. */
  end(): void {
    for (const entries of this.#hosts.values()) {
      for (const entry of entries.values()) this.#giveUp(entry)
    }
  }

  /** The state as lines of text, for `restore`. */
  *save(): Generator<string> {
    yield JSON.stringify({ clock: this.#clockMs })
    for (const entries of this.#hosts.values()) {
      for (const entry of entries.values()) yield saveEntry(entry)
    }
  }

  /** @throws Error when a line is not what `save` writes */
  restore(lines: readonly string[]): void {
    const [header, ...rest] = lines
    this.#clockMs = (JSON.parse(header ?? '') as { clock: number }).clock
    const children: [QueueEntry, readonly string[]][] = []
    const removed: QueueEntry[] = []
    for (const line of rest) {
      const { entry, childIds } = restoreEntry(line, ++this.#serial)
      if (entry.host !== this.#host) this.#setHost(entry.host)
      this.#entries.set(entry.queueId, entry)
      this.#size++
      this.#held += entry.held?.length ?? 0
      if (childIds.length > 0) children.push([entry, childIds])
      if (entry.removedMs !== 0) removed.push(entry)
    }
    for (const [entry, ids] of children) {
      const entries = this.#hosts.get(entry.host)
      entry.children = ids.map(id => entries?.get(id)).filter(child => child !== undefined)
    }
    this.#removed = removed.toSorted((a, b) => a.removedMs - b.removedMs)
  }

  // ── the lines ──

  #client({ line, to }: LogLine, at: number, queueId: string): LineVerdict {
    const entry = this.#open(queueId)
    const bracket = line.indexOf('[', at)
    const close = line.indexOf(']', bracket)
    if (bracket === -1 || close === -1) return 'correlation'
    const address = keptText(line, bracket + 1, close)
    if (!isNearAddress(address)) entry.clientAddress = address
    let next = close + 1
    if (line.charCodeAt(next) === 58) next = line.indexOf(',', next)
    if (next !== -1 && line.startsWith(', orig_queue_id=', next)) {
      const id = next + ', orig_queue_id='.length
      const end = queueIdEnd(line, id, to)
      const parent = end === -1 ? undefined : this.#entries.get(line.slice(id, end))
      if (parent && parent !== entry) this.#inherit(parent, entry)
    }
    return 'correlation'
  }

  #pickup({ line, to }: LogLine, at: number, queueId: string): LineVerdict {
    const entry = this.#open(queueId)
    // After a requeue; the old id gets no line of its own.
    const mark = line.lastIndexOf('> orig_id=', to)
    if (mark > at) {
      const id = line.slice(mark + '> orig_id='.length, to)
      const parent = isQueueId(id) ? this.#entries.get(id) : undefined
      if (parent && parent !== entry) {
        this.#inherit(parent, entry)
        entry.pending = parent.pending
        parent.pending = undefined
        this.#remove(parent)
        this.entry = entry
      }
    }
    return 'correlation'
  }

  #messageId({ line, to }: LogLine, at: number, queueId: string, known: QueueEntry | undefined): LineVerdict {
    const entry = this.#openIfGone(queueId, known)
    if (entry.messageIdUuid !== undefined) return 'correlation'
    const uuid = messageUuid(line.slice(at + 'message-id='.length, to))
    if (uuid === undefined) return 'correlation'
    entry.messageIdUuid = uuid === entry.uuid ? entry.uuid : uuid
    this.#identify(entry, uuid, uuidRank.messageId)
    return 'correlation'
  }

  /** What header_checks logs: `info: header X-Sendpost-Message-UUID: VALUE from HOST[ADDRESS]; from=<…> to=<…> …` */
  #header({ line, to }: LogLine, name: number, queueId: string, known: QueueEntry | undefined): LineVerdict {
    const value = name + uuidHeaderName.length + 1
    if (line.charCodeAt(value - 1) !== 58 || line.slice(name, value - 1).toLowerCase() !== uuidHeaderName)
      return 'other'
    const entry = this.#openIfGone(queueId, known)
    if (entry.rank === uuidRank.header || entry.nullSender) return 'correlation'
    // Postfix writes `from` behind the value; what else says so stands in the value and is the sender's.
    const end = line.indexOf(' from ', value)
    const found = messageUuid(line.slice(value, Math.min(end === -1 ? to : end, value + valueCharsMax)))
    if (found === undefined) return 'correlation'
    // A bounce that carries the original: not this message's own.
    if (line.includes('; from=<> to=<', value)) return 'correlation'
    this.#identify(entry, found === entry.uuid ? entry.uuid : found, uuidRank.header)
    return 'correlation'
  }

  #manager(read: LogLine, at: number, queueId: string, known: QueueEntry | undefined): LineVerdict {
    const { line, to } = read
    if (endsWith(line, to, ', returned to sender')) {
      const forced = endsWith(line, to, ', status=force-expired, returned to sender')
      if (forced || endsWith(line, to, ', status=expired, returned to sender'))
        return this.#expire(read, known, forced ? 'force-expired' : 'expired')
    }
    if (!endsWith(line, to, ' (queue active)')) return 'other'
    // Active again after it was removed: another message, whose first lines are missing.
    const entry = known?.removedMs ? this.#open(queueId) : known
    if (entry && line.startsWith('from=<>,', at)) {
      entry.nullSender = true
      if (entry.rank === uuidRank.header) {
        entry.uuid = entry.messageIdUuid
        entry.rank = entry.uuid === undefined ? uuidRank.none : uuidRank.messageId
      }
    }
    return 'correlation'
  }

  #remove(entry: QueueEntry | undefined): LineVerdict {
    if (!entry || entry.removedMs !== 0) return 'correlation'
    entry.removedMs = this.#clockMs || 1
    entry.pending = undefined
    this.#removed.push(entry)
    return 'correlation'
  }

  /** `sender non-delivery notification: QUEUEID` and its likes; before or after the first lines of that id. */
  #notification({ line, to }: LogLine, at: number): LineVerdict {
    const words = line.indexOf(' notification: ', at)
    if (words === -1 || words > at + 40) return 'other'
    const id = line.slice(words + ' notification: '.length, to)
    if (!isQueueId(id)) return 'other'
    const entry = this.#openIfGone(id, this.#entries.get(id))
    entry.notification = true
    this.#giveUp(entry)
    return 'correlation'
  }

  #status(read: LogLine, at: number, entry: QueueEntry | undefined): LineVerdict {
    const { line } = read
    const found = readStatusLine(line, at, read.to)
    if (!found) return 'malformed'
    const status = line.slice(found.statusFrom, found.statusEnd)
    const type = statusTypes.get(status)
    if (type === undefined) return probeWords.has(status) ? 'probe' : 'malformed'
    if (!entry) return 'orphan'
    if (entry.notification || (entry.nullSender && entry.uuid === undefined)) return 'notification'
    const text = keptDescription(line, found.textFrom, found.textEnd)
    const outcome = this.#outcome(read, found, entry.queueId, status, type, text)
    const { to, origTo, relay } = outcome.log
    const before = entry.pending?.get(to, origTo)
    if (type === 'delivered' || type === 'bounced') {
      entry.pending?.delete(to, origTo)
      // The queue id that it goes on as stands at the end of the text.
      const whole = text.length < descriptionBytesMax / 3 ? text : keptText(line, found.textFrom, found.textEnd)
      if (type === 'delivered' && this.#isHop(entry, whole, relay)) return 'hop'
      return this.#tell(entry, outcome)
    }
    // Kept until a final result, for an expiry names no recipient.
    const soft = type === 'soft_bounced'
    const again = before !== undefined
    const due =
      !again ||
      (soft
        ? !before.softReported
        : this.#clockMs - before.reportedAtMs >= this.#options.deferredIntervalMs ||
          this.#options.deferredIntervalMs === 0)
    const pending: Pending = {
      to,
      origTo,
      relay,
      dsn: outcome.log.dsn,
      code: outcome.code,
      description: text,
      reportedAtMs: due ? this.#clockMs : (before?.reportedAtMs ?? this.#clockMs),
      softReported: soft || before?.softReported === true,
    }
    entry.pending ??= new PendingRecipients()
    if (again || entry.pending.size < recipientsMax) entry.pending.set(pending)
    return due ? this.#tell(entry, outcome) : 'repeat'
  }

  #expire(read: LogLine, entry: QueueEntry | undefined, status: string): LineVerdict {
    if (!entry) return 'orphan'
    let verdict: LineVerdict = 'correlation'
    for (const { to, origTo, relay, dsn, code, description } of entry.pending?.all() ?? []) {
      verdict = this.#tell(entry, {
        type: 'soft_bounced',
        at: read.at,
        recipient: origTo ?? to,
        ...(code !== undefined && { code }),
        description,
        log: { queueId: entry.queueId, to, ...(origTo !== undefined && { origTo }), relay, dsn, status },
      })
    }
    entry.pending = undefined
    return verdict
  }

  // ── what follows from them ──

  /** Whether the message only went on under another queue id of this log; if so that one inherits its UUID. */
  #isHop(entry: QueueEntry, text: string, relay: string): boolean {
    const near = relayAddress(relay)
    const forwarded = text.startsWith('forwarded as ') && near === undefined
    const mark = Math.max(text.lastIndexOf('queued as '), text.lastIndexOf('forwarded as '))
    if (mark !== -1) {
      const start = text.indexOf(' as ', mark) + 4
      const end = queueIdEnd(text, start, text.length)
      if (end !== -1) {
        const next = this.#entries.get(text.slice(start, end))
        if (next && this.#goesOnAs(entry, next, near)) {
          this.#inherit(entry, next)
          return true
        }
      }
    }
    // local(8) alone says so, and only of a message that it put into this queue.
    if (forwarded) return true
    const { hopRelays } = this.#options
    return hopRelays.length > 0 && (hopRelays.includes(relay) || hopRelays.includes(relay.slice(0, relay.indexOf('['))))
  }

  /** A reply of a remote server may name any queue id: only one that can be this message's next is believed. */
  #goesOnAs(entry: QueueEntry, next: QueueEntry, relay: string | undefined): boolean {
    if (next.serial <= entry.serial) return false
    if (next.uuid !== undefined && next.rank === entry.rank && next.uuid !== entry.uuid) return false
    return relay === undefined || isNearAddress(relay) || relay === next.clientAddress
  }

  #inherit(parent: QueueEntry, child: QueueEntry): void {
    if (parent.uuid !== undefined) this.#identify(child, parent.uuid, parent.rank)
    else if (!parent.children?.includes(child)) (parent.children ??= []).push(child)
  }

  /** Gives a message its UUID, unless it has a better or an earlier one, and lets go what waited for it. */
  #identify(entry: QueueEntry, uuid: string, rank: number): void {
    if (rank <= entry.rank) return
    entry.uuid = uuid
    entry.rank = rank
    const { held, children } = entry
    entry.held = undefined
    entry.children = undefined
    if (held) {
      this.#held -= held.length
      for (const outcome of held) this.#report({ ...outcome, uuid })
    }
    for (const child of children ?? []) this.#identify(child, uuid, rank)
  }

  #outcome(
    { line, at }: LogLine,
    found: StatusLine,
    queueId: string,
    status: string,
    type: OutcomeType,
    description: string,
  ): PendingOutcome {
    const to = keptText(line, found.toFrom, found.toEnd)
    const origTo = found.origToFrom === -1 ? undefined : keptText(line, found.origToFrom, found.origToEnd)
    const code = smtpReplyCode(description, type === 'delivered')
    return {
      type,
      at,
      recipient: origTo ?? to,
      ...(code !== undefined && { code }),
      description,
      log: {
        queueId,
        to,
        ...(origTo !== undefined && { origTo }),
        relay: this.#words.of(line.slice(found.relayFrom, found.relayEnd)),
        dsn: this.#words.of(line.slice(found.dsnFrom, found.dsnEnd)),
        status: this.#words.of(status),
      },
    }
  }

  #tell(entry: QueueEntry, outcome: PendingOutcome): LineVerdict {
    if (entry.uuid !== undefined) {
      this.#report({ ...outcome, uuid: entry.uuid })
      return 'event'
    }
    if (this.#held >= heldMax || (entry.held?.length ?? 0) >= recipientsMax) {
      this.counts.withoutUuid++
      return 'held'
    }
    this.#held++
    ;(entry.held ??= []).push(outcome)
    return 'held'
  }

  // ── the map ──

  #setHost(host: string): void {
    this.#host = host
    const known = this.#hosts.get(host)
    if (known) this.#entries = known
    else this.#hosts.set(host, (this.#entries = new Map()))
  }

  #openIfGone(queueId: string, known: QueueEntry | undefined): QueueEntry {
    const entry = known && known.removedMs === 0 ? known : this.#open(queueId)
    this.entry = entry
    return entry
  }

  #open(id: string): QueueEntry {
    // The id outlives the chunk that it was read with.
    const queueId = keptText(id, 0, id.length)
    const before = this.#entries.get(queueId)
    if (before) this.#forget(before)
    if (this.#size >= this.#options.entriesMax) this.#evict()
    const entry = new QueueEntry(this.#host, queueId, ++this.#serial, this.#clockMs)
    this.#entries.set(queueId, entry)
    this.#size++
    this.entry = entry
    return entry
  }

  #forget(entry: QueueEntry): void {
    this.#giveUp(entry)
    const entries = this.#hosts.get(entry.host)
    if (entries?.get(entry.queueId) !== entry) return
    entries.delete(entry.queueId)
    this.#size--
  }

  #giveUp(entry: QueueEntry): void {
    if (!entry.held) return
    this.#held -= entry.held.length
    this.counts.withoutUuid += entry.held.length
    entry.held = undefined
  }

  /** Forgets the queue id that was opened first on the host that has most. */
  #evict(): void {
    let most = this.#entries
    for (const entries of this.#hosts.values()) if (entries.size > most.size) most = entries
    const oldest = most.values().next().value
    if (!oldest) return
    this.#forget(oldest)
    this.counts.evicted++
  }

  #advance(lineMs: number): void {
    if (!(lineMs > this.#clockMs)) return
    if (lineMs > this.#nowMs() + aheadMsMax) return
    this.#clockMs = lineMs
    const gone = this.#clockMs - this.#options.removedGraceMs
    while (this.#removedFrom < this.#removed.length && this.#removed[this.#removedFrom]!.removedMs <= gone) {
      this.#forget(this.#removed[this.#removedFrom++]!)
    }
    if (this.#removedFrom > 10_000 || this.#removedFrom === this.#removed.length) {
      if (this.#removedFrom > 0) this.#removed = this.#removed.slice(this.#removedFrom)
      this.#removedFrom = 0
    }
    if (this.#clockMs - this.#sweptMs >= sweepMs) this.#sweep()
  }

  #sweep(): void {
    this.#sweptMs = this.#clockMs
    const dead = this.#clockMs - this.#options.ttlMs
    for (const [host, entries] of this.#hosts) {
      for (const entry of entries.values()) {
        if (entry.touchedMs >= dead || entry.removedMs !== 0) continue
        this.#forget(entry)
        this.counts.expired++
      }
      if (entries.size === 0 && entries !== this.#entries) this.#hosts.delete(host)
    }
  }
}

const uuidHeaderName = 'x-sendpost-message-uuid'
/** Postfix cuts name and value together at 200 bytes. */
const valueCharsMax = 220

const statusTypes = new Map<string, OutcomeType>([
  ['sent', 'delivered'],
  ['bounced', 'bounced'],
  ['deferred', 'deferred'],
  ['SOFTBOUNCE', 'soft_bounced'],
])
const probeWords = new Set(['deliverable', 'undeliverable', 'undeliverable-but-not-cached'])

function endsWith(line: string, to: number, words: string): boolean {
  return line.startsWith(words, to - words.length)
}
