/** Counts what becomes of accounting lines: each has one outcome. */
import { Counter, type Registry } from '../../process/prometheus.ts'

/**
 * `record`: stored; `header`: names the columns; `other`: of a type that says nothing of a message's record;
 * `untracked`: of a message without an id; `rejected`: unusable.
 */
export type LineOutcome = 'record' | 'header' | 'other' | 'untracked' | 'rejected'

const outcomes: readonly LineOutcome[] = ['record', 'header', 'other', 'untracked', 'rejected']

export class AccountingMeter {
  readonly totals: Record<LineOutcome | 'events', number> = {
    record: 0,
    header: 0,
    other: 0,
    untracked: 0,
    rejected: 0,
    events: 0,
  }
  readonly #reported: Record<LineOutcome, number> = { record: 0, header: 0, other: 0, untracked: 0, rejected: 0 }

  constructor(registry: Registry) {
    const lines: Counter<'outcome'> = new Counter({
      name: 'acct_etl_lines_total',
      help: 'Accounting lines, by what became of them.',
      labelNames: ['outcome'],
      registers: [registry],
      // Counted in plain numbers on the way and told when asked: there are many lines.
      collect: () => {
        for (const outcome of outcomes) {
          lines.inc({ outcome }, this.totals[outcome] - this.#reported[outcome])
          this.#reported[outcome] = this.totals[outcome]
        }
      },
    })
  }

  count(outcome: LineOutcome | 'events', lines = 1): void {
    this.totals[outcome] += lines
  }
}
