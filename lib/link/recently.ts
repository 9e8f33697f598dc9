/**
 * Remembers the results of a function for the texts it was last asked about: at least the last `entriesMax`, at most
 * twice as many.
 */
export class Recently<Result> {
  readonly #entriesMax: number
  #young = new Map<string, Result>()
  #old = new Map<string, Result>()

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax
  }

  get(text: string): Result | undefined {
    const young = this.#young.get(text)
    if (young !== undefined) return young
    const old = this.#old.get(text)
    if (old !== undefined) this.set(text, old)
    return old
  }

  set(text: string, result: Result): void {
    if (this.#young.size >= this.#entriesMax) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(ownCopy(text), result)
  }
}

/** A slice of a larger text keeps all of that text in memory (seen in Node 22; Node 26 copies keys itself). */
function ownCopy(text: string): string {
  const copy = Buffer.from(text, 'latin1').toString('latin1')
  return copy === text ? copy : Buffer.from(text, 'utf16le').toString('utf16le')
}
