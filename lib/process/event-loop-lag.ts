/**
 * How late the event loop is, under the names and with the words of prom-client, whose own sampler wakes an idle process
 * each 10 ms, 0.4 % of a core, and counts these 10 ms as lag.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Gauge, type Registry } from 'prom-client'

const resolutionMs = 50
/** For prom-client's sampler, which can't be left out: in milliseconds, weeks. */
export const neverMs = 2 ** 31 - 1

/** To be called once prom-client's default metrics are registered: takes the place of those of the same names. */
export function measureEventLoopLag(registry: Registry): void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  /** Of the time between two samples, in nanoseconds. */
  const lag = (betweenNs: number) => (delay.count === 0 ? 0 : Math.max(0, betweenNs / 1e9 - resolutionMs / 1e3))
  const gauge = (what: string, help: string, aggregator: 'min' | 'max' | 'average', collect?: () => void) => {
    const name = `nodejs_eventloop_lag_${what}_seconds`
    registry.removeSingleMetric(name)
    return new Gauge({ name, help, aggregator, registers: [registry], ...(collect && { collect }) })
  }
  // One sets them all, as those that are registered later are read later.
  const min = gauge('min', 'The minimum recorded event loop delay.', 'min', () => {
    min.set(lag(delay.min))
    max.set(lag(delay.max))
    mean.set(lag(delay.mean))
    stddev.set(delay.count === 0 ? 0 : delay.stddev / 1e9)
    p50.set(lag(delay.percentile(50)))
    p90.set(lag(delay.percentile(90)))
    p99.set(lag(delay.percentile(99)))
    delay.reset()
  })
  const max = gauge('max', 'The maximum recorded event loop delay.', 'max')
  const mean = gauge('mean', 'The mean of the recorded event loop delays.', 'average')
  const stddev = gauge('stddev', 'The standard deviation of the recorded event loop delays.', 'average')
  const p50 = gauge('p50', 'The 50th percentile of the recorded event loop delays.', 'average')
  const p90 = gauge('p90', 'The 90th percentile of the recorded event loop delays.', 'average')
  const p99 = gauge('p99', 'The 99th percentile of the recorded event loop delays.', 'average')
}
