/**
 * What happened to a message, as it travels between the processes: made by tracker and acct_etl, carried by the queue,
 * turned into a wire format by the destinations of the feeder.
 */

/** Engagement of a recipient. The value is the action that a tracking link is signed for. */
export type EngagementType =
  | 'initial_open'
  | 'open'
  | 'click'
  | 'amp_initial_open'
  | 'amp_open'
  | 'amp_click'
  | 'list_unsubscribe'
  | 'link_unsubscribe'

/** Outcome of a delivery, named as SparkPost's Events API names it. */
export type DeliveryType = 'delivery' | 'bounce' | 'out_of_band' | 'delay' | 'spam_complaint'

interface EventBase {
  /**
   * Identity, fixed when the event happened and never changed again: a decimal number from 0 to 2^63-1. A repeat of the
   * same event, after whatever failure, carries the same id.
   */
  readonly id: string
  /** `X-Sp-Message-Id` of the message. */
  readonly messageId: string
  /** When it happened, Unix time in milliseconds. */
  readonly at: number
}

export interface EngagementEvent extends EventBase {
  readonly type: EngagementType
  /** Absent with `--ip none`. */
  readonly ip?: string
  readonly userAgent?: string
  /** Target of a click. */
  readonly url?: string
  /** Name that the generator gave the link (`data-msys-linkname`). */
  readonly linkName?: string
  /** Who it probably was; recorded, never a reason to answer differently. */
  readonly verdict?: Verdict
  readonly geo?: Geo
}

/** What the request says of who made it. Absent members are false or unknown. */
export interface Verdict {
  /** The mail service fetched it ahead of any human (Apple MPP, Gmail prefetch). */
  readonly prefetched?: true
  /** A human's request through the mail service's image proxy: address and place are the proxy's. */
  readonly proxy?: true
  /** A scanner or other machine. */
  readonly bot?: true
  /** Which rule said so, for people. */
  readonly reason?: string
  /** The same message and link was seen before. */
  readonly repeat?: true
  readonly device?: string
  readonly os?: string
}

export interface Geo {
  readonly country?: string
  readonly region?: string
  readonly city?: string
  readonly latitude?: number
  readonly longitude?: number
  readonly zip?: string
  readonly postalCode?: string
}

export interface DeliveryEvent extends EventBase {
  readonly type: DeliveryType
  readonly recipient?: string
  /** Envelope sender (reverse-path). */
  readonly sender?: string
  readonly subaccount?: number
  readonly job?: string
  /** SMTP reply code, when a server gave one. */
  readonly code?: number
  /** RFC 3463, `5.1.1`. */
  readonly enhancedStatus?: string
  readonly reason?: string
  /** SparkPost's number. */
  readonly bounceClass?: number
  readonly remoteMta?: string
  readonly sourceIp?: string
  readonly queueTimeMs?: number
  readonly retries?: number
  readonly messageBytes?: number
  /** Of a spam complaint, RFC 5965: `abuse`. */
  readonly feedbackType?: string
  readonly reportedBy?: string
}

export type TrackingEvent = EngagementEvent | DeliveryEvent
