/** A relay in this process, between a client and an upstream that the test plays. */
import { Registry } from 'prom-client'
import pino from 'pino'
import { defaultLimits, type RelayLimits } from '../../lib/message/smtp/limits.ts'
import { NetworkList } from '../../lib/network/network-list.ts'
import type { MultiRecipient } from '../../lib/message/smtp/relay-context.ts'
import { RelayMetrics } from '../../lib/message/smtp/relay-metrics.ts'
import { RelayServer, type Certificate } from '../../lib/message/smtp/relay-server.ts'
import type { StrayLineEnds } from '../../lib/message/smtp/relay.ts'
import type { RelayedMessage, Rewriting } from '../../lib/message/smtp/rewriting.ts'
import type { CopyLedger } from '../../lib/message/smtp/accepted-copies.ts'
import type { UpstreamTls } from '../../lib/message/smtp/upstream-connection.ts'

export interface RigOptions {
  readonly upstreamPort: number
  readonly upstreamTls?: UpstreamTls
  readonly insecure?: boolean
  readonly limits?: Partial<RelayLimits>
  readonly multiRecipient?: MultiRecipient
  readonly strayLineEnds?: StrayLineEnds
  readonly allowNetworks?: readonly string[]
  readonly certificate?: Certificate
  readonly implicitTls?: boolean
  readonly rewriting?: Rewriting
  readonly ledger?: CopyLedger
  readonly onUpstream?: (trouble: string | undefined) => void
  readonly onLost?: (reason: string) => void
}

export interface Rig {
  readonly server: RelayServer
  readonly port: number
  readonly metrics: Registry
  readonly relayed: readonly RelayedMessage[]
  /** The SMTP conversation as `--downstream-debug` gets it. */
  readonly conversation: readonly string[]
  /** Faults of the program that sessions ran into; a test expects none. */
  readonly faults: readonly unknown[]
  close: () => Promise<void>
}

/** Leaves every message as it is. */
const passThrough: Rewriting = {
  begin: () => ({ write: chunk => [chunk], end: () => [], accepted: () => undefined }),
  bringsId: () => true,
}

/** Remembers nothing. */
const noLedger: CopyLedger = {
  outstanding: false,
  isOpen: () => false,
  message: () => ({
    begin: () => undefined,
    accepted: async () => new Set(),
    accept: () => undefined,
    complete: () => undefined,
    keep: () => undefined,
  }),
}

/** Copies are made of messages without an id of their own; they are told apart by a field on top. */
export const numberCopies: Rewriting = {
  begin: ({ recipient }) => {
    let begun = false
    return {
      write: chunk => {
        const first = begun ? [] : [Buffer.from(`X-Copy: ${recipient ?? 'all'}\r\n`)]
        begun = true
        return [...first, chunk]
      },
      end: () => [],
      accepted: () => ({ messageId: `id-of-${recipient}`, record: recipient === undefined ? {} : { recipient } }),
    }
  },
  bringsId: pieces => Buffer.concat([...pieces]).includes('X-Sp-Message-Id:'),
}

/** On a free port of 127.0.0.1. */
export async function startRig(options: RigOptions): Promise<Rig> {
  const metrics = new Registry()
  const relayed: RelayedMessage[] = []
  const conversation: string[] = []
  const faults: unknown[] = []
  const log = pino({ level: 'silent' })
  const relayMetrics: RelayMetrics = new RelayMetrics(
    metrics,
    () => server.sessions,
    () => server.pool.size,
  )
  const server: RelayServer = new RelayServer({
    context: {
      limits: { ...defaultLimits, ...options.limits },
      multiRecipient: options.multiRecipient ?? 'split',
      rewriting: options.rewriting ?? passThrough,
      ledger: options.ledger ?? noLedger,
      metrics: relayMetrics,
      accepted: message => relayed.push(message),
      upstreamData: undefined,
      collected: { bytes: 0 },
    },
    upstream: {
      host: '127.0.0.1',
      port: options.upstreamPort,
      tls: options.upstreamTls ?? 'opportunistic',
      insecure: options.insecure ?? false,
      name: 'relay.test',
    },
    upstreamHooks: { connected: options.onUpstream ?? (() => undefined), lost: options.onLost ?? (() => undefined) },
    log,
    name: 'relay.test',
    certificate: options.certificate,
    implicitTls: options.implicitTls ?? false,
    allowNetworks: NetworkList.of(...(options.allowNetworks ?? ['127.0.0.0/8', '::1'])),
    strayLineEnds: options.strayLineEnds ?? 'normalise',
    conversation: (session, from, text) => conversation.push(`${session} ${from}: ${text}`),
  })
  server.fault = error => faults.push(error)
  await server.open('127.0.0.1', 0, false)
  if (server.port === undefined) throw new Error('no port')
  return { server, port: server.port, metrics, relayed, conversation, faults, close: () => server.stop() }
}
