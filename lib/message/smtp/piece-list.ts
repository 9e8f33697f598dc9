/** Pieces of a stream of bytes, kept few: many small ones cost more than copying what is in them. */

/** Pieces that are kept as views of what they were cut from; from the next one on they are copied together. */
const viewsMax = 8
/** Up to this many bytes a loop is faster than a call of `set`. */
const loopBytesMax = 24

/** Takes spans of buffers one after another; gives at most `viewsMax` pieces, or one that holds all. */
export class PieceList {
  readonly #bytesMax: number
  #views: Buffer[] = []
  #copy: Buffer | undefined
  #length = 0

  /** @param bytesMax bytes that will be put at most */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Puts the bytes of `source` from `start` to before `end`, which must not change later. */
  put(source: Buffer, start = 0, end = source.length): void {
    if (end <= start) return
    if (this.#copy) {
      this.#append(this.#copy, source, start, end)
      return
    }
    this.#views.push(start === 0 && end === source.length ? source : source.subarray(start, end))
    if (this.#views.length <= viewsMax) return
    const copy = Buffer.allocUnsafeSlow(this.#bytesMax)
    for (const view of this.#views) this.#append(copy, view, 0, view.length)
    this.#views = []
    this.#copy = copy
  }

  /** All that was put. */
  pieces(): Buffer[] {
    if (!this.#copy) return this.#views
    const used = this.#copy.subarray(0, this.#length)
    // What may be held for long must not hold much more than itself.
    return [this.#length * 4 < this.#bytesMax * 3 ? Buffer.from(used) : used]
  }

  #append(copy: Buffer, source: Buffer, start: number, end: number): void {
    let at = this.#length
    if (end - start <= loopBytesMax) for (let from = start; from < end; from++) copy[at++] = source[from]!
    else copy.set(source.subarray(start, end), at)
    this.#length += end - start
  }
}

/** Joined pieces are about this long, in bytes. */
const joinedBytes = 64 * 1024
/** From this length on a copy costs more than a place of its own in the system call. */
const largeBytes = 8 * 1024

/** The same bytes in few pieces: small neighbours are joined, large pieces stay as they are. */
export function joinSmall(pieces: readonly Buffer[]): readonly Buffer[] {
  if (pieces.length < 2) return pieces
  const out: Buffer[] = []
  let from = 0
  let bytes = 0
  const join = (to: number) => {
    if (to - from === 1) out.push(pieces[from]!)
    else if (to > from) out.push(Buffer.concat(pieces.slice(from, to), bytes))
    from = to
    bytes = 0
  }
  for (const [at, piece] of pieces.entries()) {
    if (piece.length >= largeBytes) {
      join(at)
      out.push(piece)
      from = at + 1
      continue
    }
    if (bytes + piece.length > joinedBytes) join(at)
    bytes += piece.length
  }
  join(pieces.length)
  return out
}

/** Bytes in all pieces. */
export function bytesOf(pieces: readonly Buffer[]): number {
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  return bytes
}
