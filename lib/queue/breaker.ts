/** Whether Redis is asked at all: after some failures in a row it is only probed, until it answers again. */
import { Counter, type Registry } from '../process/prometheus.ts'
import type { Health } from '../process/health.ts'
import type { Logger } from '../process/log.ts'
import { observedGauge } from '../process/observed-gauge.ts'
import { redisReason } from './redis.ts'

/** Failures in a row after which it is open. */
const failuresMax = 3

export class Breaker {
  #failures = 0
  readonly #log: Logger
  readonly #health: Health
  readonly #failuresTotal: Counter

  constructor(log: Logger, health: Health, metrics: Registry, prefix: string) {
    this.#log = log
    this.#health = health
    this.#failuresTotal = new Counter({
      name: `${prefix}_redis_failures_total`,
      help: 'Round trips to Redis that failed or took too long.',
      registers: [metrics],
    })
    observedGauge(metrics, `${prefix}_redis_open_breaker`, '1 while Redis fails and is only probed, else 0.', () =>
      this.isOpen ? 1 : 0,
    )
  }

  get isOpen(): boolean {
    return this.#failures >= failuresMax
  }

  failed(error: unknown): void {
    this.#failures++
    this.#failuresTotal.inc()
    if (this.#failures !== failuresMax) return
    const reason = redisReason(error)
    this.#log.warn({ reason }, 'Redis takes no events, they are kept on disk until it does')
    this.#health.set('queue', `Redis takes no events (${reason}): they are kept on disk until it does`)
  }

  succeeded(): void {
    if (this.isOpen) {
      this.#health.set('queue', undefined)
      this.#log.info('Redis takes events again')
    }
    this.#failures = 0
  }
}
