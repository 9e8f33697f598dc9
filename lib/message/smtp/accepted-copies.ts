/**
 * Remembers which copies of a message the upstream has accepted, for when it accepts only some: the client is told to
 * send again, and its retry sends only what is missing.
 */

/** What was accepted of one message. */
export interface MessageCopies {
  /** Which of these recipients an earlier attempt has served. */
  accepted: (recipients: readonly string[]) => Promise<ReadonlySet<string>>
  /** This recipient is served. */
  accept: (recipient: string) => void
  /** All are served and the client knows: nothing needs to be remembered. */
  complete: () => void
  /** The client was told to send again. */
  keep: () => void
}

export interface CopyLedger {
  /** @param pieces the message as received */
  message: (reversePath: string, pieces: readonly Buffer[]) => MessageCopies
}

/** Remembers nothing. */
export const noLedger: CopyLedger = {
  message: () => ({
    accepted: async () => new Set(),
    accept: () => undefined,
    complete: () => undefined,
    keep: () => undefined,
  }),
}
