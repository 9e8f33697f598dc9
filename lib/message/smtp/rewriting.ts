/** What happens to a message between the client and the upstream, as the relay sees it. */
import type { MessageRecord } from '../../record/record.ts'

/** Who a message is, for the events to come. */
export interface RelayedMessage {
  /** `X-Sp-Message-Id`. */
  readonly messageId: string
  readonly record: MessageRecord
}

/** One copy of a message on its way through. */
export interface Rewriter {
  /** A piece of the message, CRLF line ends; gives what can go on. */
  write: (chunk: Buffer) => Buffer[]
  /** The message is complete; gives the rest. */
  end: () => Buffer[]
  /** The upstream has accepted the copy; undefined when the message carries no id. */
  accepted: () => RelayedMessage | undefined
}

export interface Copy {
  /** Whom it is for; undefined when it is for several. */
  readonly recipient: string | undefined
  readonly reversePath: string
  /** Stamp it only: tracking would make it larger than the upstream takes. */
  readonly stampOnly?: boolean
}

export interface Rewriting {
  begin: (copy: Copy) => Rewriter
  /** Whether a message brings an id of its own, so that all copies of it would be the same. */
  bringsId: (pieces: readonly Buffer[]) => boolean
}
