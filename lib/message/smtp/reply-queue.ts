/** Keeps replies in the order of their commands, though they may become known in another. */
import { formatReply, type Reply } from './reply.ts'

interface Slot {
  reply: Reply | undefined
  readonly answered: ((reply: Reply) => void) | undefined
}

export interface ReplyQueueHooks {
  /** Takes replies that are due, formatted. `last`: the session ends with them (421). */
  readonly write: (text: string, last: boolean) => void
  /** A reply that could not be made, which must not happen. */
  readonly failed: (error: unknown) => void
}

export class ReplyQueue {
  readonly #hooks: ReplyQueueHooks
  readonly #slots: Slot[] = []
  #waiting: (() => void)[] = []

  constructor(hooks: ReplyQueueHooks) {
    this.#hooks = hooks
  }

  /** Commands whose replies are not written yet. */
  get length(): number {
    return this.#slots.length
  }

  /**
   * Keeps the place of a reply that is to come.
   * @param answered called when its turn has come, before it is written
   */
  reserve(pending: Promise<Reply>, answered?: (reply: Reply) => void): void {
    const slot: Slot = { reply: undefined, answered }
    this.#slots.push(slot)
    pending.then(
      reply => {
        slot.reply = reply
        this.#flush()
      },
      (error: unknown) => this.#hooks.failed(error),
    )
  }

  /** Does something once every reply is written; in the order of the calls. */
  whenEmpty(act: () => void): void {
    this.#waiting.push(act)
  }

  /** The same, but before all others. */
  whenEmptyFirst(act: () => void): void {
    this.#waiting.unshift(act)
  }

  #flush(): void {
    let text = ''
    while (this.#slots[0]?.reply) {
      const { reply, answered } = this.#slots.shift()!
      text += formatReply(reply!)
      answered?.(reply!)
      if (reply!.code === 421) {
        this.#hooks.write(text, true)
        return
      }
    }
    if (text !== '') this.#hooks.write(text, false)
    if (this.#slots.length > 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const act of waiting) act()
  }
}
