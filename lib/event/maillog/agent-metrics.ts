/** The agent's own metrics. */
import { Counter, Gauge, type Registry } from '../../process/prometheus.ts'
import type { SegmentLog } from '../../durable/segment-log.ts'
import { observedGauge } from '../../process/observed-gauge.ts'
import type { DeliveryLog } from './delivery-log.ts'
import type { LogSource } from './log-source.ts'

export interface Measured {
  readonly pending: SegmentLog
  readonly deliveryLog: DeliveryLog
  readonly sources: readonly LogSource[]
  /** Whether reading has stopped because pending events can't be stored. */
  readonly isStuck: () => boolean
}

export class AgentMetrics {
  readonly lines: Counter<'verdict'>
  readonly events: Counter<'type'>
  readonly repeats: Counter
  /** Age of the event that was read last, when it was read. */
  lagSeconds = 0

  constructor(metrics: Registry, { pending, deliveryLog, sources, isStuck }: Measured) {
    const registers = [metrics]
    this.lines = new Counter({
      name: 'agent_lines_total',
      help: 'Log lines read, by what they were good for.',
      labelNames: ['verdict'],
      registers,
    })
    this.events = new Counter({
      name: 'agent_events_total',
      help: 'Events made of log lines, by type.',
      labelNames: ['type'],
      registers,
    })
    this.repeats = new Counter({
      name: 'agent_repeated_events_total',
      help: 'Events found again in a log that was read again, and not reported a second time.',
      registers,
    })
    observedGauge(metrics, 'agent_lag_bytes', 'Bytes of the log that are not read yet.', async () => {
      let sum = 0
      for (const source of sources) sum += await source.lagBytes()
      return sum
    })
    observedGauge(
      metrics,
      'agent_lag_seconds',
      'Age of the event that was read last, when it was read.',
      () => this.lagSeconds,
    )
    observedGauge(metrics, 'agent_wal_bytes', 'Disk space that pending events take.', () => pending.bytes)
    observedGauge(
      metrics,
      'agent_backpressure',
      '1 while reading has stopped because pending events can not be stored.',
      () => (isStuck() ? 1 : 0),
    )
    observedGauge(metrics, 'agent_queue_ids', 'Queue ids that are remembered.', () => deliveryLog.size)
    const counts = new Gauge({
      name: 'agent_state_total',
      help: 'What the state machine has counted since it started: results without UUID, queue ids evicted or expired.',
      labelNames: ['what'],
      registers,
      collect() {
        for (const [what, count] of Object.entries(deliveryLog.counts())) this.set({ what }, count)
      },
    })
    counts.set({ what: 'withoutUuid' }, 0)
  }
}
