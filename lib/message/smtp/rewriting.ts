/** What happens to a message between the client and the upstream, as the relay sees it. */
import type { MessageRecord } from '../../record/record.ts'

/** One copy of a message on its way through. */
export interface Rewriter {
  /** A piece of the message, CRLF line ends; gives what can go on. */
  write: (chunk: Buffer) => Buffer[]
  /** The message is complete; gives the rest. */
  end: () => Buffer[]
  /** Id and record of the message, once it is complete; undefined when it carries none. */
  readonly identity: (() => { readonly messageId: string; readonly record: MessageRecord } | undefined) | undefined
}

/** Makes the rewriter of a copy. */
export interface Rewriting {
  /**
   * @param recipient whom the copy is for; undefined when it is for several
   */
  begin: (recipient: string | undefined, reversePath: string) => Rewriter
}

/** Leaves every message as it is. */
export const passThrough: Rewriting = {
  begin: () => ({ write: chunk => [chunk], end: () => [], identity: undefined }),
}
