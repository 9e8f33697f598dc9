/** What is wrong with a process at the moment, by cause. */
export interface HealthReport {
  readonly status: 'ok' | 'degraded'
  /** Cause → what is wrong and what to do, for people. Empty when ok. */
  readonly reasons: Readonly<Record<string, string>>
}

export class Health {
  readonly #troubles = new Map<string, string>()

  /** States that `cause` is in trouble, or with undefined that it is well. */
  set(cause: string, trouble: string | undefined): void {
    if (trouble === undefined) this.#troubles.delete(cause)
    else this.#troubles.set(cause, trouble)
  }

  report(): HealthReport {
    return {
      status: this.#troubles.size === 0 ? 'ok' : 'degraded',
      reasons: Object.fromEntries(this.#troubles),
    }
  }
}
