/**
 * Writes any text, usually a URL, in the 64 characters of base64url, and shorter than it was.
 *
 * A text becomes a sequence of symbols of a frozen table (`text-code-table.ts`): single characters, frequent substrings,
 * runs of hex digits, of percent-encoded bytes and of anything else, and copies of what stands further to the left. Each
 * symbol is a sequence of bits; the bits, highest first, fill characters of six bits each, the last one filled up with
 * ones. Six ones or fewer are never a whole symbol, so that the end needs no mark of its own.
 *
 * Texts are sequences of UTF-16 code units, as in JavaScript: lone surrogates survive.
 *
 * The format is the table and the meaning of the symbols. Which of several possible sequences `encodeText` chooses is
 * not part of it: a better choice may be made one day, and old texts will still be read.
 */
import { codeBitsMax, symbolRows, type Operation } from './text-code-table.ts'

/** Longest text that is encoded or decoded, in UTF-16 code units. */
export const textUnitsMax = 8192

/** Shortest copy. */
const copyUnitsMin = 4
/** Shortest runs that the symbols for them can express. */
const hexDigitsMin = 8
const wordUnitsMin = 8
/** How far a copy is followed before the search is content. */
const copySearchUnitsMax = 64

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const alphabetCodes = Uint8Array.from(alphabet, character => character.charCodeAt(0))
const sextets = new Uint8Array(128).fill(255)
for (const [value, code] of alphabetCodes.entries()) sextets[code] = value

const hexDigits = '0123456789abcdef'
const hexUpper = '0123456789ABCDEF'

interface Symbol {
  readonly code: number
  readonly bits: number
  readonly text: string
  readonly operation: Operation | undefined
}

/** Canonical prefix code: shorter codes first, in the order of the table, each the successor of the one before. */
function canonicalCode(): Symbol[] {
  const symbols: Symbol[] = []
  let code = 0
  let bits = 0
  for (const row of symbolRows) {
    code <<= row.bits - bits
    bits = row.bits
    for (const text of row.texts.split(' ')) symbols.push({ code: code++, bits, text, operation: undefined })
    for (const operation of row.operations) symbols.push({ code: code++, bits, text: '', operation })
  }
  return symbols
}

const symbols = canonicalCode()
const symbolCode = Uint16Array.from(symbols, symbol => symbol.code)
const symbolBits = Uint8Array.from(symbols, symbol => symbol.bits)

function symbolOf(operation: Operation): number {
  return symbols.findIndex(symbol => symbol.operation === operation)
}
const endSymbol = symbolOf('end')
const unitsSymbol = symbolOf('units')
const percentSymbol = symbolOf('percent')
const percentLowerSymbol = symbolOf('percent-lower')
const hexSymbol = symbolOf('hex')
const wordSymbol = symbolOf('word')
const copySymbol = symbolOf('copy')

/** The next `codeBitsMax` bits → the symbol that they begin with; 0xffff where none does. */
const decodeTable = new Uint16Array(1 << codeBitsMax).fill(0xffff)
for (const [index, { code, bits }] of symbols.entries()) {
  const spare = codeBitsMax - bits
  decodeTable.fill(index, code << spare, (code + 1) << spare)
}

/** Symbol of each single character; 255… none. */
const literalSymbol = new Int16Array(128).fill(-1)
/** Longer texts by their first two characters. */
const longerTexts: { readonly text: string; readonly symbol: number; readonly bits: number }[][] = []
const longerTextsOf = new Uint8Array(128 * 128)
for (const [index, { text, bits }] of symbols.entries()) {
  if (text.length === 1) literalSymbol[text.charCodeAt(0)] = index
  if (text.length < 2) continue
  const key = text.charCodeAt(0) * 128 + text.charCodeAt(1)
  const group = longerTextsOf[key] || longerTexts.push([])
  longerTextsOf[key] = group
  longerTexts[group - 1]!.push({ text, symbol: index, bits })
}

// Classes of characters, as bits.
const isHexDigit = 1
const isWord = 2
const classes = new Uint8Array(128)
for (const character of hexDigits) classes[character.charCodeAt(0)]! |= isHexDigit
for (const code of alphabetCodes) classes[code]! |= isWord

const hexValues = new Uint8Array(128).fill(255)
for (let value = 0; value < 16; value++) {
  hexValues[hexDigits.charCodeAt(value)] = value
  hexValues[hexUpper.charCodeAt(value)] = value
}

// Working space: encoding is synchronous and never nested.
const costBits = new Int32Array(textUnitsMax + 1)
const choice = new Int16Array(textUnitsMax)
const choiceUnits = new Int16Array(textUnitsMax)
const earlier = new Int16Array(textUnitsMax)
const copyUnits = new Int16Array(textUnitsMax + 1)
const recent = new Int16Array(4096)

/** Bits of a number ≥ 0 in groups of three, each after a bit that says whether another follows, lowest group first. */
function numberBits(value: number): number {
  let bits = 4
  while (value > 7) {
    value >>= 3
    bits += 4
  }
  return bits
}

/**
 * The text in the alphabet of base64url.
 *
 * @param ended writes a mark at the end, so that more characters may follow the text
 * @throws RangeError for a text of more than `textUnitsMax` code units
 */
export function encodeText(text: string, ended = false): string {
  const units = text.length
  if (units > textUnitsMax) throw new RangeError(`text of ${units} characters, at most ${textUnitsMax} are possible`)
  choose(text)
  const out = Buffer.allocUnsafe(Math.ceil((costBits[0]! + 20) / 6))
  let length = 0
  let pending = 0
  let pendingBits = 0
  const put = (value: number, bits: number) => {
    pending = (pending << bits) | value
    pendingBits += bits
    while (pendingBits >= 6) {
      pendingBits -= 6
      out[length++] = alphabetCodes[(pending >> pendingBits) & 63]!
    }
    pending &= 63
  }
  const putNumber = (value: number) => {
    while (value > 7) {
      put(8 | (value & 7), 4)
      value >>= 3
    }
    put(value, 4)
  }
  for (let at = 0; at < units;) {
    const symbol = choice[at]!
    const run = choiceUnits[at]!
    put(symbolCode[symbol]!, symbolBits[symbol]!)
    if (symbol === copySymbol) {
      putNumber(run - copyUnitsMin)
      putNumber(at - earlier[at]! - 1)
    } else if (symbol === hexSymbol) {
      putNumber(run - hexDigitsMin)
      for (let index = at; index < at + run; index++) put(hexValues[text.charCodeAt(index)]!, 4)
    } else if (symbol === wordSymbol) {
      putNumber(run - wordUnitsMin)
      for (let index = at; index < at + run; index++) put(sextets[text.charCodeAt(index)]!, 6)
    } else if (symbol === percentSymbol || symbol === percentLowerSymbol) {
      putNumber(run / 3 - 1)
      for (let index = at; index < at + run; index += 3) {
        put(hexValues[text.charCodeAt(index + 1)]!, 4)
        put(hexValues[text.charCodeAt(index + 2)]!, 4)
      }
    } else if (symbol === unitsSymbol) {
      putNumber(run - 1)
      for (let index = at; index < at + run; index++) put(text.charCodeAt(index), 16)
    }
    at += run
  }
  if (ended) put(symbolCode[endSymbol]!, symbolBits[endSymbol]!)
  if (pendingBits > 0) put((1 << (6 - pendingBits)) - 1, 6 - pendingBits)
  return out.toString('latin1', 0, length)
}

/** Finds the cheapest sequence of symbols, from the end of the text to its beginning. */
function choose(text: string): void {
  const units = text.length
  findEarlier(text)
  costBits[units] = 0
  copyUnits[units] = 0
  let hexRun = 0
  let wordRun = 0
  let otherRun = 0
  // Percent-encoded bytes that begin at the position and at the two after it.
  let percentRun = 0
  let percentRun1 = 0
  let percentRun2 = 0
  let lowerRun = 0
  let lowerRun1 = 0
  let lowerRun2 = 0
  for (let at = units - 1; at >= 0; at--) {
    const code = text.charCodeAt(at)
    let best = 0x7fffffff
    let bestSymbol = -1
    let bestUnits = 1
    const literal = code < 128 ? literalSymbol[code]! : -1
    const shifted = percentRun2
    const shiftedLower = lowerRun2
    percentRun2 = percentRun1
    percentRun1 = percentRun
    percentRun = 0
    lowerRun2 = lowerRun1
    lowerRun1 = lowerRun
    lowerRun = 0
    if (literal < 0) {
      hexRun = 0
      wordRun = 0
      otherRun++
      best = symbolBits[unitsSymbol]! + numberBits(otherRun - 1) + 16 * otherRun + costBits[at + otherRun]!
      bestSymbol = unitsSymbol
      bestUnits = otherRun
    } else {
      otherRun = 0
      best = symbolBits[literal]! + costBits[at + 1]!
      bestSymbol = literal
      const kind = classes[code]!
      hexRun = kind & isHexDigit ? hexRun + 1 : 0
      wordRun = kind & isWord ? wordRun + 1 : 0
      if (hexRun >= hexDigitsMin) {
        const cost = symbolBits[hexSymbol]! + numberBits(hexRun - hexDigitsMin) + 4 * hexRun + costBits[at + hexRun]!
        if (cost < best) {
          best = cost
          bestSymbol = hexSymbol
          bestUnits = hexRun
        }
      }
      if (wordRun >= wordUnitsMin) {
        const cost =
          symbolBits[wordSymbol]! + numberBits(wordRun - wordUnitsMin) + 6 * wordRun + costBits[at + wordRun]!
        if (cost < best) {
          best = cost
          bestSymbol = wordSymbol
          bestUnits = wordRun
        }
      }
      if (code === 0x25) {
        const kind = percentCase(text, at)
        if (kind !== 0) {
          if (kind & 1) {
            percentRun = shifted + 1
            const cost =
              symbolBits[percentSymbol]! + numberBits(percentRun - 1) + 8 * percentRun + costBits[at + 3 * percentRun]!
            if (cost < best) {
              best = cost
              bestSymbol = percentSymbol
              bestUnits = 3 * percentRun
            }
          }
          if (kind & 2) {
            lowerRun = shiftedLower + 1
            const cost =
              symbolBits[percentLowerSymbol]! + numberBits(lowerRun - 1) + 8 * lowerRun + costBits[at + 3 * lowerRun]!
            if (cost < best) {
              best = cost
              bestSymbol = percentLowerSymbol
              bestUnits = 3 * lowerRun
            }
          }
        }
      }
      const next = at + 1 < units ? text.charCodeAt(at + 1) : 128
      const group = next < 128 ? longerTextsOf[code * 128 + next]! : 0
      if (group !== 0) {
        for (const entry of longerTexts[group - 1]!) {
          if (entry.text.length > 2 && !text.startsWith(entry.text, at)) continue
          const cost = entry.bits + costBits[at + entry.text.length]!
          if (cost < best) {
            best = cost
            bestSymbol = entry.symbol
            bestUnits = entry.text.length
          }
        }
      }
    }
    copyUnits[at] = 0
    const from = earlier[at]!
    if (from >= 0 && text.charCodeAt(from) === code) {
      let run = at + 1 < units && earlier[at + 1] === from + 1 ? copyUnits[at + 1]! + 1 : 0
      if (run < copySearchUnitsMax) {
        const limit = Math.min(units - at, copySearchUnitsMax)
        while (run < limit && text.charCodeAt(from + run) === text.charCodeAt(at + run)) run++
      }
      copyUnits[at] = run
      if (run >= copyUnitsMin) {
        const cost =
          symbolBits[copySymbol]! + numberBits(run - copyUnitsMin) + numberBits(at - from - 1) + costBits[at + run]!
        if (cost < best) {
          best = cost
          bestSymbol = copySymbol
          bestUnits = run
        }
      }
    }
    costBits[at] = best
    choice[at] = bestSymbol
    choiceUnits[at] = bestUnits
  }
}

/** For each position the last one before it where the same four units may stand, or -1. */
function findEarlier(text: string): void {
  const units = text.length
  recent.fill(-1)
  earlier.fill(-1, Math.max(0, units - copyUnitsMin + 1), Math.min(units + 1, textUnitsMax))
  for (let at = 0; at + copyUnitsMin <= units; at++) {
    const hash =
      ((text.charCodeAt(at) * 0x9e5 +
        text.charCodeAt(at + 1) * 0x3d3 +
        text.charCodeAt(at + 2) * 0x1f35 +
        text.charCodeAt(at + 3) * 0x71) &
        0xffff) >>
      4
    earlier[at] = recent[hash]!
    recent[hash] = at
  }
}

/** Whether a percent-encoded byte stands there: 1 in upper case, 2 in lower case, 3 when it has no letter, else 0. */
function percentCase(text: string, at: number): number {
  if (at + 2 >= text.length) return 0
  const high = text.charCodeAt(at + 1)
  const low = text.charCodeAt(at + 2)
  if (high > 127 || low > 127 || hexValues[high] === 255 || hexValues[low] === 255) return 0
  const upper = high < 0x61 && low < 0x61
  const lower = (high < 0x41 || high > 0x46) && (low < 0x41 || low > 0x46)
  return (upper ? 1 : 0) | (lower ? 2 : 0)
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
        text += reader.run(reader.number() + hexDigitsMin, 4, digit => hexDigits[digit]!)
        break
      case 'word':
        text += reader.run(reader.number() + wordUnitsMin, 6, value => alphabet[value]!)
        break
      case 'percent':
        text += reader.run(reader.number() + 1, 8, byte => `%${hexUpper[byte >> 4]}${hexUpper[byte & 15]}`)
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
      const value = code < 128 ? sextets[code]! : 255
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
    const symbol = symbols[decodeTable[this.#peek(codeBitsMax)]!]
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
