/**
 * Lets requests pass freely while the service answers, and one at a time, after a wait, while it does not: an outage of
 * ten minutes costs it some fifteen requests, however many batches wait.
 */

/** Time as the uploader sees it; replaced in tests. */
export interface Clock {
  /** Unix ms. May be set back or ahead at any time: for the age of events, never for a deadline of ours. */
  readonly now: () => number
  /** Ms since some moment, never set: for deadlines. */
  readonly elapsed: () => number
  /** Settles after the time or when the signal is aborted, whichever comes first. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  wait: (ms, signal) =>
    new Promise<void>(resolve => {
      if (signal.aborted) {
        resolve()
        return
      }
      const finish = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const timer = setTimeout(finish, ms)
      signal.addEventListener('abort', finish, { once: true })
    }),
}

export class UploadGate {
  readonly #clock: Clock
  /** Present while closed; aborted when it opens, so that nobody sleeps on. */
  #opening: AbortController | undefined
  #waitMs = 0
  /** The end of the line of those who wait: each starts when the one before has come back. */
  #line: Promise<void> = Promise.resolve()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get closed(): boolean {
    return this.#opening !== undefined
  }

  /** The service answers: everybody may go. */
  open(): void {
    this.#opening?.abort()
    this.#opening = undefined
  }

  /** The service does not answer, or asks to wait: the next request after `ms`, alone. */
  close(ms: number): void {
    this.#opening ??= new AbortController()
    this.#waitMs = ms
  }

  /**
   * Runs `attempt` when it is its turn. While the gate is closed those who come wait in line, first come first served,
   * so that after a batch that failed another one is tried.
   * @param attempt told whether it goes as the only one
   */
  async pass<T>(attempt: (alone: boolean) => Promise<T>): Promise<T> {
    if (!this.#opening) return attempt(false)
    const before = this.#line
    const { promise, resolve: leave } = Promise.withResolvers<void>()
    this.#line = promise
    try {
      await before
      if (this.#opening) await this.#clock.wait(this.#waitMs, this.#opening.signal)
      if (this.#opening) return await attempt(true)
    } finally {
      leave()
    }
    return attempt(false)
  }
}
