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
/** Empty slabs that are held: while as much is released as is taken, one is enough. */
const emptyMax = 2

export class Slabs {
  #current = newSlab(0)
  readonly #empty: Slab[] = []

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

  #reuse(slab: Slab): void {
    if (slab.pieces > 0 || slab.bytes.length !== slabBytes || this.#empty.length >= emptyMax) return
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
