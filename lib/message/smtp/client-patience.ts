/** How long and how much a client is borne with between messages. */
import type { RelayLimits } from './limits.ts'

export interface ClientSilence {
  /** Since when a part of a command line is there, `performance.now()`; 0 when none is. */
  readonly partialSince: number
  /** A TLS handshake is under way. */
  readonly isUpgrading: boolean
  /** Most of the connections are in use. */
  readonly stressed: boolean
}

export class ClientPatience {
  readonly #limits: RelayLimits
  #errors = 0
  #idleCommands = 0
  #turnSince: number

  /** @param now `performance.now()` */
  constructor(limits: RelayLimits, now: number) {
    this.#limits = limits
    this.#turnSince = now
  }

  /** A command that the relay itself refuses. */
  wrongCommand(): void {
    this.#errors++
  }

  /** A command that leads nowhere. */
  idleCommand(): void {
    this.#idleCommands++
  }

  /** A message was accepted: what was before it does not count any more. */
  forgive(): void {
    this.#errors = 0
    this.#idleCommands = 0
  }

  /** Whether there were too many wrong commands. */
  get hasTooManyErrors(): boolean {
    return this.#errors > this.#limits.errorsMax
  }

  /** Whether there were too many commands of either kind. */
  get isExhausted(): boolean {
    return this.hasTooManyErrors || this.#idleCommands > this.#limits.idleCommandsMax
  }

  /** Something was said to the client: its turn begins. */
  clientsTurn(now: number): void {
    this.#turnSince = now
  }

  /** Whether the client, whose turn it is, has taken too long. */
  isOver(now: number, { partialSince, isUpgrading, stressed }: ClientSilence): boolean {
    const { commandMs, handshakeMs, idleMs, stressIdleMs } = this.#limits
    const waited = now - this.#turnSince
    return (
      waited > (stressed ? stressIdleMs : idleMs) ||
      (partialSince > 0 && now - partialSince > commandMs) ||
      (isUpgrading && waited > handshakeMs)
    )
  }
}
