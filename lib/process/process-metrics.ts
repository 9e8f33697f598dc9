/**
 * What every process says of itself: prom-client's default metrics under their names and with their words, but for two kinds.
 * Of the CPU's, the original loads OpenTelemetry's API; of the event loop's, it wakes an idle process each 10 ms, 0.4 % of a
 * core, and counts these 10 ms as lag.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { Counter, defaultMetric, Gauge, type Registry } from './prometheus.ts'

const resolutionMs = 50
/** Files of prom-client. */
const defaults = [
  'processStartTime',
  'osMemoryHeap',
  'processOpenFileDescriptors',
  'processMaxFileDescriptors',
  'processResources',
  'processHandles',
  'processRequests',
  'heapSizeAndUsed',
  'heapSpacesSizeAndUsed',
  'version',
  'gc',
] as const

export function measureProcess(registry: Registry): void {
  measureCpu(registry)
  for (const file of defaults) defaultMetric(file)(registry)
  measureEventLoopLag(registry)
}

function measureCpu(registry: Registry): void {
  let before = process.cpuUsage()
  const counter = (what: string, help: string, collect?: () => void) =>
    new Counter({ name: `process_cpu_${what}seconds_total`, help, registers: [registry], ...(collect && { collect }) })
  // One sets them all, as those that are registered later are read later.
  const user = counter('user_', 'Total user CPU time spent in seconds.', () => {
    const now = process.cpuUsage()
    const [userS, systemS] = [(now.user - before.user) / 1e6, (now.system - before.system) / 1e6]
    before = now
    user.inc(userS)
    system.inc(systemS)
    both.inc(userS + systemS)
  })
  const system = counter('system_', 'Total system CPU time spent in seconds.')
  const both = counter('', 'Total user and system CPU time spent in seconds.')
}

function measureEventLoopLag(registry: Registry): void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  /** Of the time between two samples, in nanoseconds. */
  const lag = (betweenNs: number) => (delay.count === 0 ? 0 : Math.max(0, betweenNs / 1e9 - resolutionMs / 1e3))
  const gauge = (
    what: string,
    help: string,
    aggregator: 'min' | 'max' | 'average',
    collect?: () => void | Promise<void>,
  ) => {
    const name = `nodejs_eventloop_lag_${what}seconds`
    return new Gauge({ name, help, aggregator, registers: [registry], ...(collect && { collect }) })
  }
  const current = gauge('', 'Lag of event loop in seconds.', 'average', async () => {
    const startedMs = performance.now()
    await setImmediate()
    current.set((performance.now() - startedMs) / 1e3)
  })
  // One sets them all, as those that are registered later are read later.
  const min = gauge('min_', 'The minimum recorded event loop delay.', 'min', () => {
    min.set(lag(delay.min))
    max.set(lag(delay.max))
    mean.set(lag(delay.mean))
    stddev.set(delay.count === 0 ? 0 : delay.stddev / 1e9)
    p50.set(lag(delay.percentile(50)))
    p90.set(lag(delay.percentile(90)))
    p99.set(lag(delay.percentile(99)))
    delay.reset()
  })
  const max = gauge('max_', 'The maximum recorded event loop delay.', 'max')
  const mean = gauge('mean_', 'The mean of the recorded event loop delays.', 'average')
  const stddev = gauge('stddev_', 'The standard deviation of the recorded event loop delays.', 'average')
  const p50 = gauge('p50_', 'The 50th percentile of the recorded event loop delays.', 'average')
  const p90 = gauge('p90_', 'The 90th percentile of the recorded event loop delays.', 'average')
  const p99 = gauge('p99_', 'The 99th percentile of the recorded event loop delays.', 'average')
}
