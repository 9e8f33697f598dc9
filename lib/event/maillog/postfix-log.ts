/** Postfix's log: line formats, then correlation. */
import type { CorrelatorOptions } from './correlator-options.ts'
import { Correlator } from './correlator.ts'
import type { DeliveryLog, DeliveryLogHooks } from './delivery-log.ts'
import { LogLineReader } from './log-line.ts'
import { StampClock } from './stamp-clock.ts'
import type { TimeZone } from './time-zone.ts'

export class PostfixLog implements DeliveryLog {
  readonly correlator: Correlator
  readonly #reader: LogLineReader
  readonly #hooks: DeliveryLogHooks
  #latestMs = Number.POSITIVE_INFINITY

  constructor(options: CorrelatorOptions, zone: TimeZone, hooks: DeliveryLogHooks, nowMs: () => number = Date.now) {
    this.#hooks = hooks
    this.correlator = new Correlator(options, nowMs, hooks.report)
    this.#reader = new LogLineReader(new StampClock(zone, () => Math.min(this.#latestMs, nowMs())))
  }

  get size(): number {
    return this.correlator.size
  }

  read(line: string, whole: boolean, latestMs: number): string {
    this.#latestMs = latestMs
    const read = this.#reader.read(line)
    if (!read) return 'unparsed'
    if (read.suppressed > 0) this.#hooks.suppressed(read.suppressed)
    // A line without end may lack part of its text: of a status only a closed one is whole.
    if (!whole && !read.line.endsWith(')', read.to)) return 'unparsed'
    return this.correlator.read(read)
  }

  counts(): Readonly<Record<string, number>> {
    return { ...this.correlator.counts }
  }

  end(): void {
    this.correlator.end()
  }

  save(): Iterable<string> {
    return this.correlator.save()
  }

  restore(lines: Iterable<string>): void {
    this.correlator.restore(lines)
  }
}
