/** Reads a text in the code of `text-code.ts`. */
import { codeBitsMax } from './text-code-table.ts'
import {
  alphabet,
  alphabetValues,
  copyUnitsMin,
  hexDigits,
  hexDigitsMin,
  hexDigitsUpper,
  type Symbol,
  symbols,
  textUnitsMax,
  wordUnitsMin,
} from './text-code.ts'

/** The next `codeBitsMax` bits → the symbol that they begin with. */
const symbolTable = new Uint16Array(1 << codeBitsMax).fill(0xffff)
for (const [index, { code, bits }] of symbols.entries()) {
  const spare = codeBitsMax - bits
  symbolTable.fill(index, code << spare, (code + 1) << spare)
}

/** A text and where the characters after it begin. */
export interface DecodedText {
  readonly text: string
  readonly end: number
}

/**
 * Reads what `encodeText` wrote.
 *
 * @param ended the text has a mark at its end; without, it goes to the end of `encoded`
 * @returns undefined when that is no encoded text, or one of more than `textUnitsMax` code units
 */
export function decodeText(encoded: string, start: number, ended: boolean): DecodedText | undefined {
  const reader = new BitReader(encoded, start)
  let text = ''
  for (;;) {
    if (!ended && reader.atEnd()) return { text, end: encoded.length }
    const symbol = reader.symbol()
    if (symbol === undefined || text.length > textUnitsMax) return undefined
    switch (symbol.operation) {
      case undefined:
        text += symbol.text
        break
      case 'end':
        return ended && reader.atPadding() ? { text, end: reader.position() } : undefined
      case 'copy': {
        const count = reader.number() + copyUnitsMin
        const distance = reader.number() + 1
        if (!(count <= textUnitsMax && distance <= text.length)) return undefined
        const piece = text.slice(-distance)
        text += count <= distance ? piece.slice(0, count) : piece.repeat(Math.ceil(count / distance)).slice(0, count)
        break
      }
      case 'hex':
        text += reader.characters(reader.number() + hexDigitsMin, 4, hexDigits)
        break
      case 'word':
        text += reader.characters(reader.number() + wordUnitsMin, 6, alphabet)
        break
      case 'percent':
        text += reader.run(reader.number() + 1, 8, byte => `%${hexDigitsUpper[byte >> 4]}${hexDigitsUpper[byte & 15]}`)
        break
      case 'percent-lower':
        text += reader.run(reader.number() + 1, 8, byte => `%${hexDigits[byte >> 4]}${hexDigits[byte & 15]}`)
        break
      case 'units':
        text += reader.run(reader.number() + 1, 16, unit => String.fromCharCode(unit))
        break
    }
    if (reader.failed || text.length > textUnitsMax) return undefined
  }
}

// Working space: decoding is synchronous and never nested.
const run = Buffer.alloc(textUnitsMax)

/** Bits of an encoded text. After its end it delivers ones and notes that it failed once more than there was is taken. */
class BitReader {
  readonly #encoded: string
  #next: number
  #pending = 0
  #pendingBits = 0
  /** Whether something was read that is not there or no character of the alphabet. */
  failed = false

  constructor(encoded: string, start: number) {
    this.#encoded = encoded
    this.#next = start
  }

  /** Has at least `bits` (≤ 16) at hand, ones past the end. */
  #fill(bits: number): void {
    while (this.#pendingBits < bits && this.#next < this.#encoded.length) {
      const code = this.#encoded.charCodeAt(this.#next++)
      const value = code < 128 ? alphabetValues[code]! : 255
      if (value === 255) this.failed = true
      this.#pending = ((this.#pending & 0xffff) << 6) | (value & 63)
      this.#pendingBits += 6
    }
  }

  #peek(bits: number): number {
    this.#fill(bits)
    const missing = bits - this.#pendingBits
    const mask = (1 << bits) - 1
    if (missing <= 0) return (this.#pending >> -missing) & mask
    return ((this.#pending << missing) | ((1 << missing) - 1)) & mask
  }

  #drop(bits: number): void {
    if (bits > this.#pendingBits) this.failed = true
    else this.#pendingBits -= bits
  }

  take(bits: number): number {
    const value = this.#peek(bits)
    this.#drop(bits)
    return value
  }

  symbol(): Symbol | undefined {
    const symbol = symbols[symbolTable[this.#peek(codeBitsMax)]!]
    if (symbol === undefined) return undefined
    this.#drop(symbol.bits)
    return this.failed ? undefined : symbol
  }

  number(): number {
    let value = 0
    for (let shift = 0; shift <= 15; shift += 3) {
      const group = this.take(4)
      value |= (group & 7) << shift
      if (group < 8) return value
    }
    this.failed = true
    return 0
  }

  /** Characters out of a list, `bits` each. */
  characters(count: number, bits: number, list: string): string {
    if (count > textUnitsMax) this.failed = true
    for (let index = 0; index < count && !this.failed; index++) run[index] = list.charCodeAt(this.take(bits))
    return this.failed ? '' : run.toString('latin1', 0, count)
  }

  run(count: number, bits: number, write: (value: number) => string): string {
    let text = ''
    for (let index = 0; index < count && !this.failed; index++) text += write(this.take(bits))
    return text
  }

  /** Whether only the filling of the last character is left. */
  atEnd(): boolean {
    return this.#next >= this.#encoded.length && this.#pendingBits < 6 && this.atPadding()
  }

  /** Whether the rest of the present character is filling. */
  atPadding(): boolean {
    const bits = this.#pendingBits % 6
    const mask = (1 << bits) - 1
    return ((this.#pending >> (this.#pendingBits - bits)) & mask) === mask
  }

  /** Index of the first character that nothing was taken of. */
  position(): number {
    return this.#next - Math.floor(this.#pendingBits / 6)
  }
}
