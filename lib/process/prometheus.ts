/**
 * prom-client, the parts that are used here. All of it also loads OpenTelemetry's API and a client of push gateways:
 * 1 MB of memory in each process that nobody uses.
 */
import { createRequire } from 'node:module'
import type * as prometheus from 'prom-client'

const part = createRequire(import.meta.url)

export type { MetricObjectWithValues, MetricValue } from 'prom-client'

export const Registry = part('prom-client/lib/registry') as typeof prometheus.Registry
export type Registry = prometheus.Registry

export const Counter = part('prom-client/lib/counter') as typeof prometheus.Counter
export type Counter<Label extends string = string> = prometheus.Counter<Label>
/** With its labels set. */
export type LabelledCounter = prometheus.Counter.Internal

export const Gauge = part('prom-client/lib/gauge') as typeof prometheus.Gauge
export type Gauge<Label extends string = string> = prometheus.Gauge<Label>

export const Histogram = part('prom-client/lib/histogram') as typeof prometheus.Histogram
export type Histogram<Label extends string = string> = prometheus.Histogram<Label>

/** Needed where several processes speak as one. */
export function aggregatorRegistry(): typeof prometheus.AggregatorRegistry {
  return part('prom-client/lib/cluster') as typeof prometheus.AggregatorRegistry
}

/** Of prom-client's default metrics those that a file of that name registers. */
export function defaultMetric(file: string): (registry: Registry) => void {
  return part(`prom-client/lib/metrics/${file}`) as (registry: Registry) => void
}
