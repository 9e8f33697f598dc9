/**
 * The part of a stream that is held at the moment. Places count from the beginning of the stream and stay valid while
 * bytes come and go.
 */
export class ByteWindow {
  #bytes: Buffer = Buffer.alloc(0)
  /** Memory of our own behind `#bytes`, with room to append. */
  #store: Buffer | undefined
  #start = 0

  /** Place of the first byte that is held. */
  get start(): number {
    return this.#start
  }

  /** Place behind the last byte that is held. */
  get end(): number {
    return this.#start + this.#bytes.length
  }

  /** Keeps the chunk itself when nothing else is held; copies it otherwise. */
  append(chunk: Buffer): void {
    const held = this.#bytes.length
    if (held === 0) {
      this.#bytes = chunk
      this.#store = undefined
      return
    }
    const needed = held + chunk.length
    const used = this.#store ? this.#bytes.byteOffset - this.#store.byteOffset : 0
    if (this.#store && used + needed <= this.#store.length) {
      chunk.copy(this.#store, used + held)
      this.#bytes = this.#store.subarray(used, used + needed)
      return
    }
    // Slices of the old memory may be on their way out, so it is never written over.
    const grown = Buffer.allocUnsafeSlow(Math.max(needed * 2, 4096))
    this.#bytes.copy(grown, 0)
    chunk.copy(grown, held)
    this.#store = grown
    this.#bytes = grown.subarray(0, needed)
  }

  /** Forgets what lies before a place. */
  dropBefore(place: number): void {
    this.#bytes = this.#bytes.subarray(place - this.#start)
    this.#start = place
  }

  /** Place of the next occurrence from a place on, -1 when there is none. */
  indexOf(pattern: Buffer, from: number): number {
    const index = this.#bytes.indexOf(pattern, from - this.#start)
    return index === -1 ? -1 : index + this.#start
  }

  /** @param place of a byte that is held */
  byte(place: number): number {
    return this.#bytes[place - this.#start]!
  }

  slice(from: number, to: number): Buffer {
    return this.#bytes.subarray(from - this.#start, to - this.#start)
  }

  /** One character a byte. */
  text(from: number, to: number): string {
    return this.#bytes.toString('latin1', from - this.#start, Math.min(to, this.end) - this.#start)
  }
}
