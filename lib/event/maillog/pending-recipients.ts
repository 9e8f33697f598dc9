/** The recipients of one message that wait, by address. One takes no more than itself; a map comes with the second. */
import type { Pending } from './queue-entry.ts'

export class PendingRecipients {
  #one: Pending | undefined
  #more: Map<string, Pending> | undefined

  get size(): number {
    return this.#more?.size ?? (this.#one === undefined ? 0 : 1)
  }

  get(to: string, origTo: string | undefined): Pending | undefined {
    if (this.#more) return this.#more.get(keyOf(to, origTo))
    return this.#one?.to === to && this.#one.origTo === origTo ? this.#one : undefined
  }

  set(pending: Pending): void {
    const { to, origTo } = pending
    if (!this.#more && (this.#one === undefined || this.get(to, origTo))) {
      this.#one = pending
      return
    }
    if (!this.#more) {
      this.#more = new Map([[keyOf(this.#one!.to, this.#one!.origTo), this.#one!]])
      this.#one = undefined
    }
    this.#more.set(keyOf(to, origTo), pending)
  }

  delete(to: string, origTo: string | undefined): void {
    if (this.#more) this.#more.delete(keyOf(to, origTo))
    else if (this.get(to, origTo)) this.#one = undefined
  }

  all(): Iterable<Pending> {
    return this.#more?.values() ?? (this.#one === undefined ? [] : [this.#one])
  }
}

/** An address holds no line feed. */
function keyOf(to: string, origTo: string | undefined): string {
  return origTo === undefined ? to : `${to}\n${origTo}`
}
