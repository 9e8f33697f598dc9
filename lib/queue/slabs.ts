/**
 * Bytes that live for some seconds, thousands of pieces a second: in large pieces of memory that are used again. As strings
 * they would cost the collector more than all else does that is done with them; with a piece of memory for each, freed by
 * the collector, it looked through the whole heap twice a second.
 */

interface Slab {
  readonly bytes: Buffer
  used: number
  /** Pieces of it that were not released. */
  pieces: number
}

/** A piece of a slab; good until it is released. */
export interface Piece {
  readonly slab: Slab
  /** Where it begins and ends in the slab's bytes. */
  readonly start: number
  readonly end: number
}

const slabBytes = 1 << 20

export class Slabs {
  #current = newSlab(0)
  readonly #empty: Slab[] = []
  readonly #emptyMax: number

  /**
   * @param bytesMax what is taken at a time, usually: as much is held when it is released. Given back and taken anew with
   *   each burst it would have the collector run several times a second, for memory outside of its heap counts there too
   */
  constructor(bytesMax: number) {
    this.#emptyMax = Math.ceil(bytesMax / slabBytes) + 1
  }

  /** Takes a piece, to be filled. */
  take(size: number): Piece {
    if (this.#current.bytes.length - this.#current.used < size) {
      // If all of it was released already nobody else would hand it in.
      this.#reuse(this.#current)
      this.#current = size > slabBytes ? newSlab(size) : (this.#empty.pop() ?? newSlab(slabBytes))
    }
    const slab = this.#current
    const start = slab.used
    slab.used += size
    slab.pieces++
    return { slab, start, end: slab.used }
  }

  /** States that nobody reads a piece any more. One that is never released takes its slab along when it is collected. */
  release({ slab }: Piece): void {
    slab.pieces--
    if (slab !== this.#current) this.#reuse(slab)
  }

  /** Gives up one of those that are empty: to be called now and then while nothing is taken. */
  trim(): void {
    this.#empty.pop()
  }

  #reuse(slab: Slab): void {
    if (slab.pieces > 0 || slab.bytes.length !== slabBytes || this.#empty.length >= this.#emptyMax) return
    slab.used = 0
    this.#empty.push(slab)
  }
}

/** Bytes of a piece. */
export function sizeOf({ start, end }: Piece): number {
  return end - start
}

function newSlab(bytes: number): Slab {
  return { bytes: Buffer.allocUnsafeSlow(bytes), used: 0, pieces: 0 }
}
