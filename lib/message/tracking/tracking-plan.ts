/** What is to be done to one message, decided when its header is known. */
import type { EngagementType } from '../../event/event.ts'

/** What a link in the message stands for; the message id is the plan's. */
export interface LinkRequest {
  readonly action: EngagementType
  /** Target of a click, as the author wrote it, character references decoded. */
  readonly url?: string
  readonly linkName?: string
}

/** What a message is tracked for. */
export interface TrackingSwitches {
  /** Pixel at the end of the document. */
  readonly trackOpen: boolean
  /** Pixel at its beginning. */
  readonly trackInitialOpen: boolean
  readonly trackClick: boolean
  /** Also links in `text/plain`. */
  readonly trackText: boolean
}

export interface TrackingPlan extends TrackingSwitches {
  /** A message that was signed already: `pass` leaves all of it below the stamped headers as it is. */
  readonly dkimSigned: 'pass' | 'wrap'
  /** Address of the tracker; links to its host are left alone. */
  readonly trackingUrl: string
  /** Stamped as `X-Sp-Message-Id` unless the message has a usable one. */
  readonly messageId: string
  /** Stamped as `X-Sendpost-Message-UUID` unless the message has one. */
  readonly uuid: string
  /** Absolute http or https URL, of characters that need no escape in HTML. */
  readonly linkFor: (link: LinkRequest) => string
  /** Where a wrapped link is, put in another that only machines follow: see `trapLinkName`. Not by default. */
  readonly honeypotLink?: boolean
  /** Stamped (RFC 2369, RFC 8058) unless the message has a List-Unsubscribe of its own. */
  readonly listUnsubscribe?: ListUnsubscribe
}

export interface ListUnsubscribe {
  /** With a signed link that takes the POST of RFC 8058. */
  readonly https?: boolean
  /** With this address, the message id in its subject. */
  readonly mailto?: string
}
