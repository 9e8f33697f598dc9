/**
 * Blocks of bytes of any size, outside of V8's heap: hundreds of thousands of small things that live for days would make
 * every collection of garbage slow, and the heap twice as large as they are.
 *
 * Pages of 1 MiB are cut into blocks of a few sizes; a block that is given back is used again for one of its size.
 */

const pageBytes = 1 << 20
/** What all sizes are multiples of; a free block holds a number of four bytes. */
const unitBytes = 8
const unitsPerPage = pageBytes / unitBytes
/** Of a block's number those that count the units of a page. */
const unitBits = Math.log2(unitsPerPage)
/** Larger ones, which are rare, are buffers of their own. */
const pagedBytesMax = 8192
/** Sizes go up by a unit, later by an eighth. */
const sizes = sizesOf()
/** Number of units → which of the sizes. */
const sizeOfUnits = Uint8Array.from({ length: pagedBytesMax / unitBytes + 1 }, (_, units) =>
  sizes.findIndex(size => size >= units),
)

/** Which of the sizes holds that many bytes. */
function sizeOf(bytes: number): number {
  return sizeOfUnits[Math.ceil(bytes / unitBytes)]!
}

function sizesOf(): readonly number[] {
  const found: number[] = []
  for (let units = 1; units <= pagedBytesMax / unitBytes; units += Math.max(1, Math.floor(units / 8))) found.push(units)
  if (found.at(-1) !== pagedBytesMax / unitBytes) found.push(pagedBytesMax / unitBytes)
  return found
}

export class ByteBlocks {
  readonly #pages: Buffer[] = []
  /** Head of the list of free blocks of each size; the next one stands in the block. 0 is none. */
  readonly #free = new Uint32Array(sizes.length)
  #nextUnit = unitsPerPage
  readonly #large = new Map<number, Buffer>()
  #largeBytes = 0
  #nextLarge = largeFrom
  readonly #bytesMax: number

  /** @param bytesMax most that all blocks may take, free ones included; at least a page */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Whether there is a block of that many bytes to be had. */
  hasRoom(bytes: number): boolean {
    if (bytes > pagedBytesMax) return this.bytes + bytes <= this.#bytesMax
    const size = sizeOf(bytes)
    if (this.#free[size] !== 0 || this.#nextUnit + sizes[size]! <= unitsPerPage) return true
    return this.bytes + pageBytes <= this.#bytesMax
  }

  /** Bytes that blocks take, free ones included. */
  get bytes(): number {
    return this.#pages.length * pageBytes + this.#largeBytes
  }

  /**
   * Takes a block; what it holds is arbitrary.
   * @returns the number of a block of at least that many bytes, never 0
   * @throws RangeError when there is no room, which `hasRoom` tells before
   */
  take(bytes: number): number {
    if (!this.hasRoom(bytes)) throw new RangeError(`no room for ${bytes} bytes`)
    if (bytes > pagedBytesMax) return this.#takeLarge(bytes)
    const size = sizeOf(bytes)
    const free = this.#free[size]!
    if (free !== 0) {
      this.#free[size] = this.page(free).readUInt32LE(this.offset(free))
      return free
    }
    const units = sizes[size]!
    if (this.#nextUnit + units > unitsPerPage) {
      this.#pages.push(Buffer.allocUnsafeSlow(pageBytes))
      // Unit 0 of the first page stays unused, for 0 is none.
      this.#nextUnit = this.#pages.length === 1 ? 1 : 0
    }
    const block = (this.#pages.length - 1) * unitsPerPage + this.#nextUnit
    this.#nextUnit += units
    return block
  }

  /** @param bytes what it was taken for */
  giveBack(block: number, bytes: number): void {
    if (bytes > pagedBytesMax) {
      this.#largeBytes -= this.#large.get(block)!.length
      this.#large.delete(block)
      return
    }
    const size = sizeOf(bytes)
    this.page(block).writeUInt32LE(this.#free[size]!, this.offset(block))
    this.#free[size] = block
  }

  /** The buffer that a block lies in. */
  page(block: number): Buffer {
    return block >= largeFrom ? this.#large.get(block)! : this.#pages[block >>> unitBits]!
  }

  /** Where in that buffer it begins. */
  offset(block: number): number {
    return block >= largeFrom ? 0 : (block & (unitsPerPage - 1)) * unitBytes
  }

  #takeLarge(bytes: number): number {
    while (this.#large.has(this.#nextLarge)) this.#afterLarge()
    const block = this.#nextLarge
    this.#afterLarge()
    this.#large.set(block, Buffer.allocUnsafeSlow(bytes))
    this.#largeBytes += bytes
    return block
  }

  #afterLarge(): void {
    this.#nextLarge = this.#nextLarge === 0xffff_ffff ? largeFrom : this.#nextLarge + 1
  }
}

/** Numbers from here on are blocks of their own: 16 GiB of pages lie before. */
const largeFrom = 0x8000_0000
