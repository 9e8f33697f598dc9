/**
 * Results of messages whose UUID is not known yet, and the messages that these went on as. Few: the UUID is logged before
 * the first result, unless a content filter hides where a message went.
 */
import type { PendingOutcome } from './outcome.ts'
import type { QueueIds } from './queue-ids.ts'

/** Of one message. */
const heldOfOneMax = 10_000
/** All together. */
const heldMax = 20_000
const childrenMax = 20_000

interface Child {
  readonly slot: number
  /** Whether the slot is still that message's. */
  readonly serial: number
}

export class HeldResults {
  readonly #ids: QueueIds
  readonly #held = new Map<number, PendingOutcome[]>()
  readonly #children = new Map<number, Child[]>()
  #heldCount = 0
  #childCount = 0

  constructor(ids: QueueIds) {
    this.#ids = ids
  }

  /** @returns false when there is no room */
  hold(slot: number, outcome: PendingOutcome): boolean {
    const held = this.#held.get(slot)
    if (this.#heldCount >= heldMax || (held?.length ?? 0) >= heldOfOneMax) return false
    this.#heldCount++
    if (held) held.push(outcome)
    else this.#held.set(slot, [outcome])
    return true
  }

  /** Takes a message's results out, in order. */
  take(slot: number): readonly PendingOutcome[] {
    const held = this.#held.get(slot)
    if (!held) return none
    this.#held.delete(slot)
    this.#heldCount -= held.length
    return held
  }

  heldOf(slot: number): readonly PendingOutcome[] {
    return this.#held.get(slot) ?? none
  }

  /** Remembers that a message went on as another one. */
  addChild(parent: number, child: number): void {
    const children = this.#children.get(parent)
    const serial = this.#ids.serialOf(child)
    if (this.#childCount >= childrenMax || children?.some(known => known.serial === serial)) return
    this.#childCount++
    if (children) children.push({ slot: child, serial })
    else this.#children.set(parent, [{ slot: child, serial }])
  }

  /** Takes the slots of the messages that a message went on as out. */
  takeChildren(parent: number): readonly number[] {
    const children = this.#children.get(parent)
    if (!children) return none
    this.#children.delete(parent)
    this.#childCount -= children.length
    return this.#living(children)
  }

  childrenOf(parent: number): readonly number[] {
    return this.#living(this.#children.get(parent) ?? none)
  }

  #living(children: readonly Child[]): number[] {
    return children.filter(({ slot, serial }) => this.#ids.serialOf(slot) === serial).map(({ slot }) => slot)
  }
}

const none: readonly never[] = []
