/** What is known of one message while it is in the queue. */
import type { Outcome } from './outcome.ts'
import { PendingRecipients } from './pending-recipients.ts'

/** How sure a UUID is: the header names it; a message-id merely contains one. */
export const uuidRank = { none: 0, messageId: 1, header: 2 } as const

/** An outcome whose message may not have a UUID yet. */
export type PendingOutcome = Omit<Outcome, 'uuid'>

/**
 * The last failed attempt for a recipient that is still to be delivered. There may be hundreds of thousands: no more
 * members than an expiry needs.
 */
export interface Pending {
  readonly to: string
  readonly origTo: string | undefined
  readonly relay: string
  readonly dsn: string
  readonly code: number | undefined
  readonly description: string
  /** When it was last reported, Unix ms. */
  reportedAtMs: number
  /** Its SOFTBOUNCE was reported. */
  softReported: boolean
}

export class QueueEntry {
  readonly host: string
  readonly queueId: string
  /** Grows with every entry: tells which of two was opened first. */
  readonly serial: number
  uuid: string | undefined = undefined
  rank: number = uuidRank.none
  /** UUID in the message-id, remembered for when the header turns out not to count. */
  messageIdUuid: string | undefined = undefined
  /** Empty reverse-path. */
  nullSender = false
  /** A notification that Postfix made itself: its delivery is nobody's event. */
  notification = false
  /** Address of the client that is neither loopback nor private. */
  clientAddress: string | undefined = undefined
  /** Last sign of life, Unix ms by the log. */
  touchedMs: number
  /** When it left the queue, Unix ms by the log; 0 while it is there. */
  removedMs = 0
  /** The recipients that wait for another attempt; most messages have one. */
  pending: PendingRecipients | undefined = undefined
  /** Results that wait for the UUID. */
  held: PendingOutcome[] | undefined = undefined
  /** The messages that this one went on as, while its UUID is not known. */
  children: QueueEntry[] | undefined = undefined

  constructor(host: string, queueId: string, serial: number, touchedMs: number) {
    this.host = host
    this.queueId = queueId
    this.serial = serial
    this.touchedMs = touchedMs
  }
}

/** One line of JSON, short: there may be hundreds of thousands. */
export function saveEntry(entry: QueueEntry): string {
  return JSON.stringify({
    h: entry.host,
    q: entry.queueId,
    t: entry.touchedMs,
    ...(entry.uuid !== undefined && { u: entry.uuid, k: entry.rank }),
    ...(entry.messageIdUuid !== undefined && entry.messageIdUuid !== entry.uuid && { m: entry.messageIdUuid }),
    ...(entry.nullSender && { z: 1 }),
    ...(entry.notification && { n: 1 }),
    ...(entry.clientAddress !== undefined && { c: entry.clientAddress }),
    ...(entry.removedMs !== 0 && { r: entry.removedMs }),
    ...(entry.pending && entry.pending.size > 0 && { p: [...entry.pending.all()] }),
    ...(entry.held && { w: entry.held }),
    ...(entry.children && { g: entry.children.map(child => child.queueId) }),
  })
}

interface SavedEntry {
  h: string
  q: string
  t: number
  u?: string
  k?: number
  m?: string
  z?: 1
  n?: 1
  c?: string
  r?: number
  p?: Pending[]
  w?: PendingOutcome[]
  g?: string[]
}

/** @throws Error for a line that `saveEntry` did not write */
export function restoreEntry(line: string, serial: number): { entry: QueueEntry; childIds: readonly string[] } {
  const saved = JSON.parse(line) as SavedEntry
  const entry = new QueueEntry(saved.h, saved.q, serial, saved.t)
  entry.uuid = saved.u
  entry.rank = saved.k ?? uuidRank.none
  entry.messageIdUuid = saved.m ?? (saved.k === uuidRank.messageId ? saved.u : undefined)
  entry.nullSender = saved.z === 1
  entry.notification = saved.n === 1
  entry.clientAddress = saved.c
  entry.removedMs = saved.r ?? 0
  if (saved.p) {
    entry.pending = new PendingRecipients()
    for (const pending of saved.p) entry.pending.set(pending)
  }
  entry.held = saved.w
  return { entry, childIds: saved.g ?? [] }
}
