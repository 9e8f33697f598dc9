/** How long a client takes for a message, without the time in which it was made to wait. */
import type { RelayLimits } from './limits.ts'

export class MessageClock {
  readonly #limits: Pick<RelayLimits, 'dataGraceMs' | 'dataBytesPerSecondMin' | 'messageMs'>
  readonly #begun: number
  #bytes = 0
  #blockedMs = 0
  #blockedSince: number | undefined

  /** @param now `performance.now()`, here and below */
  constructor(limits: Pick<RelayLimits, 'dataGraceMs' | 'dataBytesPerSecondMin' | 'messageMs'>, now: number) {
    this.#limits = limits
    this.#begun = now
  }

  /** Bytes of the message so far. */
  get bytes(): number {
    return this.#bytes
  }

  received(bytes: number): void {
    this.#bytes += bytes
  }

  /** From now on the client is made to wait. */
  block(now: number): void {
    this.#blockedSince = now
  }

  unblock(now: number): void {
    if (this.#blockedSince !== undefined) this.#blockedMs += now - this.#blockedSince
    this.#blockedSince = undefined
  }

  /** Whether the client is slower than it may be, or takes longer than any message may. */
  isLate(now: number): boolean {
    const taken = now - this.#begun
    if (taken > this.#limits.messageMs) return true
    const blocked = this.#blockedMs + (this.#blockedSince === undefined ? 0 : now - this.#blockedSince)
    return taken - blocked > this.#limits.dataGraceMs + (this.#bytes / this.#limits.dataBytesPerSecondMin) * 1000
  }
}
