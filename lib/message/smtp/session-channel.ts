/** What a client's session needs of the connection that it is held over. */
import type { MessageSink } from './inbound-reader.ts'

export interface SessionChannel {
  readonly id: string
  readonly remoteAddress: string
  /** Whether TLS is on. */
  readonly secure: boolean
  /** Whether what is written still reaches the client. */
  readonly reachable: boolean
  /** Whether the client certainly still hears: one that has closed its side may have closed both. */
  readonly listens: boolean
  /** Whether the client has sent something after the command that is being handled. */
  readonly more: boolean
  /** Since when part of a command line is held, `performance.now()`; 0 when none is. */
  readonly partialSince: number
  write: (text: string) => void
  /** Calls back once the client has read enough of what was written. */
  whenWritable: (next: () => void) => void
  /** What comes next is a message. */
  receive: (sink: MessageSink) => void
  /** The message was answered; commands go on. */
  resume: () => void
  /** Begins the handshake; what the client has said so far is not heard any more. */
  startTls: () => void
  /** Writes no more; closes. */
  close: () => void
  /** Closes at once. */
  destroy: () => void
}
