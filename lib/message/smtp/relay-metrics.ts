/** What the relay counts. */
import { Counter, Gauge, Histogram, type LabelledCounter, type Registry } from '../../process/prometheus.ts'

/** What the upstream is asked for a client. `message`: its word after the final dot. */
type RelayedCommand = 'MAIL' | 'RCPT' | 'DATA' | 'AUTH' | 'message'

/** Reply codes of a command that are told apart. */
const codesMax = 20

export class RelayMetrics {
  readonly #connections: Counter
  readonly #refused: Counter<'reason'>
  readonly #accepted: LabelledCounter
  readonly #deferred: LabelledCounter
  readonly #rejected: LabelledCounter
  readonly #bytes: Counter
  readonly #stray: Counter
  readonly #upstream: Counter<'command' | 'code'>
  readonly #seconds: Histogram
  /** By command, then by code seen, so that a strange upstream can't make up labels without end. */
  readonly #replies: Record<RelayedCommand, Map<number, LabelledCounter>> = {
    MAIL: new Map(),
    RCPT: new Map(),
    DATA: new Map(),
    AUTH: new Map(),
    message: new Map(),
  }

  constructor(registry: Registry, open: () => number, openUpstream: () => number) {
    const registers = [registry]
    this.#connections = new Counter({
      name: 'wrapper_connections_total',
      help: 'Connections that clients have opened.',
      registers,
    })
    this.#refused = new Counter({
      name: 'wrapper_connections_refused_total',
      help: 'Connections that were refused or ended by the wrapper, by reason.',
      labelNames: ['reason'],
      registers,
    })
    const messages = new Counter({
      name: 'wrapper_messages_total',
      help: 'Messages whose end was reached, by what the client was answered: accepted, deferred (4xx) or rejected (5xx).',
      labelNames: ['result'],
      registers,
    })
    this.#accepted = messages.labels('accepted')
    this.#deferred = messages.labels('deferred')
    this.#rejected = messages.labels('rejected')
    this.#bytes = new Counter({
      name: 'wrapper_message_bytes_total',
      help: 'Bytes of messages as they were received.',
      registers,
    })
    this.#stray = new Counter({
      name: 'wrapper_stray_line_ends_total',
      help: 'Messages that had a bare CR or LF, which was made a line end or a space, or for which they were refused.',
      registers,
    })
    this.#upstream = new Counter({
      name: 'wrapper_upstream_replies_total',
      help: 'Replies of the upstream, by command and reply code.',
      labelNames: ['command', 'code'],
      registers,
    })
    this.#seconds = new Histogram({
      name: 'wrapper_message_seconds',
      help: 'Time from MAIL to the reply to the message, in seconds.',
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300],
      registers,
    })
    registry.registerMetric(countNow('wrapper_connections', 'Client connections open now.', open))
    registry.registerMetric(
      countNow('wrapper_upstream_connections', 'Upstream connections open now, in use and idle.', openUpstream),
    )
  }

  connection(): void {
    this.#connections.inc()
  }

  refusedConnection(reason: string): void {
    this.#refused.inc({ reason })
  }

  strayLineEnd(): void {
    this.#stray.inc()
  }

  upstreamReply(command: RelayedCommand, code: number): void {
    const seen = this.#replies[command]
    let counter = seen.get(code)
    if (!counter) {
      // A handful of codes exists; the rest is told by its class.
      const known = seen.size < codesMax
      counter = this.#upstream.labels({ command, code: known ? String(code) : `${Math.floor(code / 100)}xx` })
      if (known) seen.set(code, counter)
    }
    counter.inc()
  }

  message(code: number, bytes: number, ms: number): void {
    if (code < 300) this.#accepted.inc()
    else if (code < 500) this.#deferred.inc()
    else this.#rejected.inc()
    this.#bytes.inc(bytes)
    this.#seconds.observe(ms / 1000)
  }
}

/** A gauge that reads its value when it is asked. */
function countNow(name: string, help: string, value: () => number): Gauge {
  return new Gauge({
    name,
    help,
    registers: [],
    collect() {
      this.set(value())
    },
  })
}
