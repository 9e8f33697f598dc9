/** What a tracking link says. */
import type { EngagementType } from '../event/event.ts'

export interface TrackedLink {
  /** The engagement that following it means; part of what is signed. */
  readonly action: EngagementType
  /** `X-Sp-Message-Id` of the message that it stands in. */
  readonly messageId: string
  /**
   * Where a click leads, as the author wrote it, entities decoded: http or https, any characters (an IRI stays one).
   * Absent for pixels and for `list_unsubscribe`.
   */
  readonly url?: string
  /** Name that the author gave the link; at most 63 bytes of UTF-8. */
  readonly linkName?: string
}

/**
 * Name of a link that no human sees, put into a message to find out what follows every link in it. It leads to the
 * tracker's own address; a click on it is recorded as a machine's.
 */
export const trapLinkName = 'mta-tracking-trap'
