/**
 * Watches many deadlines with one timer. A timer for each command of each connection would cost more than the command;
 * deadlines here are seconds to minutes away and may be met a quarter of a second late.
 */
export interface Timed {
  /** Acts when its deadline has passed. `now` is `performance.now()`. */
  check: (now: number) => void
}

const deadlineGranularityMs = 250

export class Deadlines {
  readonly #timed = new Set<Timed>()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => this.check(performance.now()), deadlineGranularityMs)
    this.#timer.unref()
  }

  add(timed: Timed): void {
    this.#timed.add(timed)
  }

  delete(timed: Timed): void {
    this.#timed.delete(timed)
  }

  check(now: number): void {
    for (const timed of this.#timed) timed.check(now)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timed.clear()
  }
}
