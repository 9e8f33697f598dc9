/** Which lines delimit parts, at any point of a nested multipart (RFC 2046 §5.1.1). */

export interface DelimiterMeaning {
  /** Nesting level of the multipart it belongs to; 0 is the outermost. */
  readonly level: number
  /** Whether it ends that multipart. */
  readonly close: boolean
}

/** White space after a delimiter that is still taken for transport padding, in bytes. */
const paddingBytesMax = 998

/**
 * The boundaries of the multiparts that are open, outermost first. A line that delimits an outer multipart ends all
 * inner ones; where two levels use the same boundary the outer one owns it.
 */
export class Delimiters {
  readonly #boundaries: string[] = []
  #meanings = new Map<string, DelimiterMeaning>()
  readonly #hashes = new Set<number>()
  /** Longest line, in bytes, that can be a delimiter. */
  lineBytesMax = 0

  get depth(): number {
    return this.#boundaries.length
  }

  open(boundary: string): void {
    this.#add(boundary, this.#boundaries.length)
    this.#boundaries.push(boundary)
  }

  /** Forgets all multiparts from this level inward. */
  closeFrom(level: number): void {
    if (level >= this.#boundaries.length) return
    const kept = this.#boundaries.slice(0, level)
    this.#boundaries.length = 0
    this.#meanings = new Map()
    this.#hashes.clear()
    this.lineBytesMax = 0
    for (const boundary of kept) this.open(boundary)
  }

  /**
   * Whether a line may be a delimiter, so that others need not be copied.
   * @param hash of its bytes, white space at its end left out
   */
  mayMean(hash: number): boolean {
    return this.#hashes.has(hash)
  }

  /** @param line a whole line without its line end, one character a byte */
  meaningOf(line: string): DelimiterMeaning | undefined {
    const meaning = this.#meanings.get(line)
    if (meaning !== undefined) return meaning
    const last = line.charCodeAt(line.length - 1)
    if (last !== 0x20 && last !== 0x09) return undefined
    let end = line.length
    while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--
    return this.#meanings.get(line.slice(0, end))
  }

  #add(boundary: string, level: number): void {
    const line = `--${boundary}`
    this.#means(line, { level, close: false })
    this.#means(`${line}--`, { level, close: true })
    this.lineBytesMax = Math.max(this.lineBytesMax, line.length + 2 + paddingBytesMax)
  }

  #means(line: string, meaning: DelimiterMeaning): void {
    if (this.#meanings.has(line)) return
    this.#meanings.set(line, meaning)
    let hash = 0
    for (let at = 0; at < line.length; at++) hash = hashed(hash, line.charCodeAt(at))
    this.#hashes.add(hash)
  }
}

/** The hash of a line to which a byte is added; that of nothing is 0. */
export function hashed(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0
}
