/** What is known of one message while it is in the queue. */
import type { Outcome } from './outcome.ts'

/** How sure a UUID is: the header names it; a message-id merely contains one. */
export const uuidRank = { none: 0, messageId: 1, header: 2 } as const

/** The last failed attempt for a recipient that is still to be delivered. */
export interface Pending {
  readonly outcome: PendingOutcome
  /** When it was last reported, Unix ms. */
  reportedAtMs: number
  /** Its SOFTBOUNCE was reported. */
  softReported: boolean
}

/** An outcome whose message may not have a UUID yet. */
export type PendingOutcome = Omit<Outcome, 'uuid'>

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
  /** Recipients that wait for another attempt. */
  pending: Map<string, Pending> | undefined = undefined
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
