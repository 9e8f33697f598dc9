/** What a client's session needs of the process that it runs in. */
import type { ClientSession } from './client-session.ts'
import type { Logger } from '../../process/log.ts'
import type { Deadlines } from './deadlines.ts'
import type { RelayContext } from './relay-context.ts'
import type { Reply } from './reply.ts'
import type { UpstreamPool } from './upstream-pool.ts'

/** What a bare CR or LF in a message leads to. */
export type StrayLineEnds = 'normalise' | 'refuse'

export interface Relay {
  readonly context: RelayContext
  readonly pool: UpstreamPool
  readonly deadlines: Deadlines
  /** Gets what sessions and messages came to, at level debug; never an address. */
  readonly log: Logger
  /** What we call ourselves. */
  readonly name: string
  /** Word in our greeting by which this process knows itself. */
  readonly token: string
  readonly strayLineEnds: StrayLineEnds
  /** STARTTLS can be offered. */
  readonly hasCertificate: boolean
  readonly stopping: boolean
  /** Most of the connections are in use. */
  readonly stressed: boolean
  /** Takes `--downstream-debug`; credentials never reach it. */
  readonly conversation: ((session: string, from: 'C' | 'S', text: string) => void) | undefined
  /** Counts a session in, or says why not. */
  admit: (session: ClientSession, address: string) => Reply | undefined
  /** Counts it out; may be called more than once. */
  leave: (session: ClientSession) => void
  /** Whether this address may relay without authentication. */
  mayRelay: (address: string) => boolean
  /** Whether credentials are safe on both sides. */
  authAllowed: (secure: boolean, address: string, upstreamSecure: boolean) => boolean
  /** Counts a failed attempt. Whether there were too many from this address. */
  authFailed: (address: string) => boolean
  authBlocked: (address: string) => boolean
  sessionError: (error: Error) => void
  /** Something that must not happen. */
  fault: (error: unknown) => void
}
