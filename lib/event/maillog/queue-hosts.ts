/** The hosts that log, by number: what is kept of each message names its host so. */

export interface QueueHost {
  readonly name: string
  /** Messages that are in the queue or left it a while ago. */
  size: number
  /** Of those in the queue, opened first and opened last: slots, 0 when there is none. */
  first: number
  last: number
}

export class QueueHosts {
  readonly #hosts: (QueueHost | undefined)[] = []
  readonly #numbers = new Map<string, number>()
  readonly #vacant: number[] = []

  /** Its number, valid until it is forgotten; of one that is not known a new one. */
  numberOf(name: string): number {
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    const number = this.#vacant.pop() ?? this.#hosts.length
    this.#hosts[number] = { name, size: 0, first: 0, last: 0 }
    this.#numbers.set(name, number)
    return number
  }

  at(number: number): QueueHost {
    return this.#hosts[number]!
  }

  /** Those that came first, at most so many. */
  *numbers(countMax: number): Generator<number> {
    let count = 0
    for (const [number, host] of this.#hosts.entries()) {
      if (!host) continue
      if (count++ === countMax) return
      yield number
    }
  }

  *all(): Generator<QueueHost> {
    for (const host of this.#hosts) if (host) yield host
  }

  /** Forgets those that have no messages. @param spared number of one that is kept */
  sweep(spared: number): void {
    for (const [number, host] of this.#hosts.entries()) {
      if (!host || host.size > 0 || number === spared) continue
      this.#numbers.delete(host.name)
      this.#hosts[number] = undefined
      this.#vacant.push(number)
    }
  }
}
