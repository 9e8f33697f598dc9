/** Counts what becomes of events: taken = uploaded + dead-lettered + returned + held. */
import { Counter, type Registry } from '../../process/prometheus.ts'
import { observedGauge } from '../../process/observed-gauge.ts'

/** Why an event was put to the dead letters. */
export type DeadReason = 'refused' | 'too-old' | 'unreadable' | 'no-form' | 'failed-later'

const deadReasons: readonly DeadReason[] = ['refused', 'too-old', 'unreadable', 'no-form', 'failed-later']

export interface FeederTotals {
  readonly taken: number
  readonly uploaded: number
  readonly deadLettered: number
  readonly returned: number
  readonly held: number
  readonly withoutRecord: number
}

export class FeederMeter {
  readonly #totals = { taken: 0, uploaded: 0, deadLettered: 0, returned: 0, withoutRecord: 0 }
  readonly #held: () => number
  readonly #taken: Counter
  readonly #repeated: Counter
  readonly #uploaded: Counter
  readonly #deadLettered: Counter<'reason'>
  readonly #returned: Counter
  readonly #withoutRecord: Counter

  /** @param held how many events are between queue and destination */
  constructor(registry: Registry, held: () => number) {
    this.#held = held
    const registers = [registry]
    const counter = (name: string, help: string) =>
      new Counter({ name: `feeder_events_${name}_total`, help, registers })
    this.#taken = counter('taken', 'Events taken from the queue: uploaded + dead-lettered + returned + held.')
    this.#repeated = counter('repeated', 'Events taken that had been given to this or another feeder before.')
    this.#uploaded = counter('uploaded', 'Events that the destination took over.')
    this.#returned = counter('returned', 'Events left in the queue when the process stopped.')
    this.#withoutRecord = counter('without_record', 'Events sent before the record of their message had come.')
    this.#deadLettered = new Counter({
      name: 'feeder_events_dead_lettered_total',
      help: 'Events put to the dead letters, by reason.',
      labelNames: ['reason'],
      registers,
    })
    for (const reason of deadReasons) this.#deadLettered.inc({ reason }, 0)
    observedGauge(registry, 'feeder_events_held', 'Events between queue and destination at the moment.', held)
  }

  totals(): FeederTotals {
    return { ...this.#totals, held: this.#held() }
  }

  taken(isRepeat: boolean): void {
    this.#totals.taken += 1
    this.#taken.inc()
    if (isRepeat) this.#repeated.inc()
  }

  uploaded(events: number): void {
    this.#totals.uploaded += events
    this.#uploaded.inc(events)
  }

  deadLettered(reason: DeadReason): void {
    this.#totals.deadLettered += 1
    this.#deadLettered.inc({ reason })
  }

  returned(events: number): void {
    this.#totals.returned += events
    this.#returned.inc(events)
  }

  withoutRecord(): void {
    this.#totals.withoutRecord += 1
    this.#withoutRecord.inc()
  }
}
