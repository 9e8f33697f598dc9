/** What all transactions of a process share. */
import type { CopyLedger } from './accepted-copies.ts'
import type { RelayLimits } from './limits.ts'
import type { RelayMetrics } from './relay-metrics.ts'
import { Refused } from './envelope-command.ts'
import { localReply, type Reply } from './reply.ts'
import type { RelayedMessage, Rewriting } from './rewriting.ts'
import { type UpstreamConnection, UpstreamLost, UpstreamUnavailable } from './upstream-connection.ts'

/** How a message with several recipients goes on. */
export type MultiRecipient = 'split' | 'shared' | 'refuse'

/** Where upstream connections come from: the pool, or the one that carries the client's identity. */
export interface UpstreamSource {
  /**
   * @param fresh not one that was kept open
   * @throws {UpstreamUnavailable}
   */
  acquire: (fresh?: boolean) => Promise<UpstreamConnection>
  /** Gives back a connection that has no transaction open. */
  release: (connection: UpstreamConnection) => void
  /** The connection is of no use any more. */
  discard: (connection: UpstreamConnection) => void
}

export interface RelayContext {
  readonly limits: RelayLimits
  readonly multiRecipient: MultiRecipient
  readonly rewriting: Rewriting
  readonly ledger: CopyLedger
  readonly metrics: RelayMetrics
  /** Takes what is known of a message that the upstream has accepted. */
  readonly accepted: (message: RelayedMessage) => void
  /** Takes what is sent upstream as message data, for `--upstream-data-debug`. */
  readonly upstreamData: ((pieces: readonly Buffer[]) => void) | undefined
  /** Bytes of messages being collected. */
  readonly collected: { bytes: number }
}

/** What a refused command, or a lost or missing upstream, means to the client. */
export function troubleReply(error: unknown): Reply {
  if (error instanceof Refused) return error.reply
  if (error instanceof UpstreamLost) return localReply(451, '4.4.2', 'Upstream connection lost, try again later')
  if (error instanceof UpstreamUnavailable) return localReply(451, '4.4.1', 'Upstream not available, try again later')
  throw error
}
