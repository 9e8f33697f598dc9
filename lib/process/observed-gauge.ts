/** A gauge whose value is read when the metrics are. */
import { Gauge, type Registry } from './prometheus.ts'

/** @param read gives the value; a metric that can't be read keeps its last */
export function observedGauge(
  registry: Registry,
  name: string,
  help: string,
  read: () => number | Promise<number>,
): Gauge {
  const gauge: Gauge = new Gauge({
    name,
    help,
    registers: [registry],
    collect: async () => {
      try {
        gauge.set(await read())
      } catch {
        // Whom it asks is away, and says so itself: all other metrics are to be had all the same.
      }
    },
  })
  return gauge
}
