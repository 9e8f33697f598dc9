/** Writes a text in the code of `text-code.ts`, with the fewest bits that its symbols allow. */
import type { Operation } from './text-code-table.ts'
import {
  alphabet,
  alphabetValues,
  copyUnitsMin,
  hexDigits,
  hexDigitsMin,
  hexDigitsUpper,
  symbols,
  textUnitsMax,
  wordUnitsMin,
} from './text-code.ts'

/** How far a copy is followed before the search is content. */
const copySearchUnitsMax = 64

const symbolTexts = symbols.map(symbol => symbol.text)
const symbolCode = Uint16Array.from(symbols, symbol => symbol.code)
const symbolBits = Uint8Array.from(symbols, symbol => symbol.bits)
const hasOperand = Uint8Array.from(symbols, symbol => (symbol.operation === undefined ? 0 : 1))

const endSymbol = symbolOf('end')
const unitsSymbol = symbolOf('units')
const percentSymbol = symbolOf('percent')
const percentLowerSymbol = symbolOf('percent-lower')
const hexSymbol = symbolOf('hex')
const wordSymbol = symbolOf('word')
const copySymbol = symbolOf('copy')

function symbolOf(operation: Operation): number {
  return symbols.findIndex(symbol => symbol.operation === operation)
}

/** ASCII code → symbol of the single character, or -1. */
const literalSymbol = new Int16Array(128).fill(-1)
/** Symbols of texts of several characters, grouped by the first two, each group ended by 0; place 0 is an empty group. */
const longerTexts = new Int16Array(symbols.length * 2 + 1)
/** First two characters → place in `longerTexts`. */
const longerTextsOf = new Int16Array(128 * 128)
{
  const groups = Map.groupBy(
    [...symbols.keys()].filter(symbol => symbolTexts[symbol]!.length > 1),
    symbol => symbolTexts[symbol]!.charCodeAt(0) * 128 + symbolTexts[symbol]!.charCodeAt(1),
  )
  let place = 1
  for (const [key, group] of groups) {
    longerTextsOf[key] = place
    longerTexts.set(group, place)
    place += group.length + 1
  }
}
for (const [symbol, text] of symbolTexts.entries()) if (text.length === 1) literalSymbol[text.charCodeAt(0)] = symbol

const hexValues = new Uint8Array(128).fill(255)
for (let value = 0; value < 16; value++) {
  hexValues[hexDigits.charCodeAt(value)] = value
  hexValues[hexDigitsUpper.charCodeAt(value)] = value
}

const percentSign = 0x25

// Classes of characters, as bits.
const isHexDigit = 1
const isWord = 2
const classes = Uint8Array.from(
  { length: 128 },
  (_, code) =>
    (alphabetValues[code] === 255 ? 0 : isWord) | (hexDigits.includes(String.fromCharCode(code)) ? isHexDigit : 0),
)

// Working space: encoding is synchronous and never nested.
/** Bits of the text from a position to its end. */
const costBits = new Int32Array(textUnitsMax + 1)
/** Symbol that is written at a position, and for how many units it stands. */
const choice = new Int16Array(textUnitsMax)
const choiceUnits = new Int16Array(textUnitsMax)
const earlier = new Int16Array(textUnitsMax)
const copyUnits = new Int16Array(textUnitsMax)
/** Percent-encoded bytes that begin at a `%`: lower 16 bits in upper case, higher 16 bits in lower case. */
const percentRuns = new Int32Array(textUnitsMax)
/** Bits of the cheapest symbol for the present position and all after it. */
let best = 0
/** Hash of four units → `seenBase` plus the last position where they stood. */
const seen = new Int32Array(4096)
let seenBase = 0

class BitWriter {
  // No unit takes more than 40 bits.
  readonly #out = Buffer.alloc(textUnitsMax * 7 + 8)
  #length = 0
  #pending = 0
  #pendingBits = 0

  begin(): void {
    this.#length = 0
    this.#pending = 0
    this.#pendingBits = 0
  }

  /** @param bits at most 16 */
  put(value: number, bits: number): void {
    let pending = (this.#pending << bits) | value
    let pendingBits = this.#pendingBits + bits
    while (pendingBits >= 6) {
      pendingBits -= 6
      this.#out[this.#length++] = alphabetCodes[(pending >> pendingBits) & 63]!
    }
    pending &= 63
    this.#pending = pending
    this.#pendingBits = pendingBits
  }

  /** Groups of three bits, each after a bit that says whether another follows, lowest group first. */
  putNumber(value: number): void {
    let rest = value
    while (rest > 7) {
      this.put(8 | (rest & 7), 4)
      rest >>= 3
    }
    this.put(rest, 4)
  }

  end(): string {
    if (this.#pendingBits > 0) this.put((1 << (6 - this.#pendingBits)) - 1, 6 - this.#pendingBits)
    return this.#out.toString('latin1', 0, this.#length)
  }
}

const alphabetCodes = Uint8Array.from(alphabet, character => character.charCodeAt(0))
const writer = new BitWriter()

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
  writer.begin()
  for (let at = 0; at < units;) {
    const symbol = choice[at]!
    const run = choiceUnits[at]!
    writer.put(symbolCode[symbol]!, symbolBits[symbol]!)
    if (hasOperand[symbol]) writeOperand(text, symbol, at, run)
    at += run
  }
  if (ended) writer.put(symbolCode[endSymbol]!, symbolBits[endSymbol]!)
  return writer.end()
}

function writeOperand(text: string, symbol: number, at: number, run: number): void {
  const end = at + run
  if (symbol === copySymbol) {
    writer.putNumber(run - copyUnitsMin)
    writer.putNumber(at - earlier[at]! - 1)
  } else if (symbol === hexSymbol) {
    writer.putNumber(run - hexDigitsMin)
    for (let index = at; index < end; index++) writer.put(hexValues[text.charCodeAt(index)]!, 4)
  } else if (symbol === wordSymbol) {
    writer.putNumber(run - wordUnitsMin)
    for (let index = at; index < end; index++) writer.put(alphabetValues[text.charCodeAt(index)]!, 6)
  } else if (symbol === percentSymbol || symbol === percentLowerSymbol) {
    writer.putNumber(run / 3 - 1)
    for (let index = at; index < end; index += 3) {
      writer.put(hexValues[text.charCodeAt(index + 1)]!, 4)
      writer.put(hexValues[text.charCodeAt(index + 2)]!, 4)
    }
  } else if (symbol === unitsSymbol) {
    writer.putNumber(run - 1)
    for (let index = at; index < end; index++) writer.put(text.charCodeAt(index), 16)
  }
}

/** Bits that `putNumber` takes. */
function numberBits(value: number): number {
  let bits = 4
  while (value > 7) {
    value >>= 3
    bits += 4
  }
  return bits
}

/** Finds the cheapest sequence of symbols, from the end of the text to its beginning. */
function choose(text: string): void {
  const units = text.length
  findEarlier(text)
  costBits[units] = 0
  let hexRun = 0
  let wordRun = 0
  let otherRun = 0
  for (let at = units - 1; at >= 0; at--) {
    const code = text.charCodeAt(at)
    const literal = code < 128 ? literalSymbol[code]! : -1
    best = 0x7fff_ffff
    if (literal < 0) {
      hexRun = 0
      wordRun = 0
      otherRun++
      offer(symbolBits[unitsSymbol]! + numberBits(otherRun - 1) + 16 * otherRun, unitsSymbol, otherRun, at)
    } else {
      otherRun = 0
      offer(symbolBits[literal]!, literal, 1, at)
      const kind = classes[code]!
      hexRun = kind & isHexDigit ? hexRun + 1 : 0
      wordRun = kind & isWord ? wordRun + 1 : 0
      if (hexRun >= hexDigitsMin)
        offer(symbolBits[hexSymbol]! + numberBits(hexRun - hexDigitsMin) + 4 * hexRun, hexSymbol, hexRun, at)
      if (wordRun >= wordUnitsMin)
        offer(symbolBits[wordSymbol]! + numberBits(wordRun - wordUnitsMin) + 6 * wordRun, wordSymbol, wordRun, at)
      if (code === percentSign) offerPercentRuns(text, at)
      if (at + 1 < units) offerLongerTexts(text, at, code)
    }
    offerCopy(text, at, code)
    costBits[at] = best
  }
}

/** Notes a symbol for a position when it is the cheapest so far; `bits` are its own and its operand's. */
function offer(bits: number, symbol: number, units: number, at: number): void {
  const cost = bits + costBits[at + units]!
  if (cost >= best) return
  best = cost
  choice[at] = symbol
  choiceUnits[at] = units
}

function offerLongerTexts(text: string, at: number, code: number): void {
  const next = text.charCodeAt(at + 1)
  if (next > 127) return
  // Groups are found by the first two characters and end with 0.
  for (let index = longerTextsOf[code * 128 + next]!; longerTexts[index] !== 0; index++) {
    const symbol = longerTexts[index]!
    const expected = symbolTexts[symbol]!
    const { length } = expected
    let matched = 2
    while (matched < length && text.charCodeAt(at + matched) === expected.charCodeAt(matched)) matched++
    if (matched === length) offer(symbolBits[symbol]!, symbol, length, at)
  }
}

function offerPercentRuns(text: string, at: number): void {
  const digits = percentCase(text, at)
  // Both counts of a position in one number: what begins here goes on with what begins three units later.
  const behind = at + 3 < text.length && text.charCodeAt(at + 3) === percentSign ? percentRuns[at + 3]! : 0
  const upper = digits & 1 ? (behind & 0xffff) + 1 : 0
  const lower = digits & 2 ? (behind >>> 16) + 1 : 0
  percentRuns[at] = (lower << 16) | upper
  if (upper > 0) offer(symbolBits[percentSymbol]! + numberBits(upper - 1) + 8 * upper, percentSymbol, 3 * upper, at)
  if (lower > 0)
    offer(symbolBits[percentLowerSymbol]! + numberBits(lower - 1) + 8 * lower, percentLowerSymbol, 3 * lower, at)
}

function offerCopy(text: string, at: number, code: number): void {
  const from = earlier[at]!
  copyUnits[at] = 0
  if (from < 0 || text.charCodeAt(from) !== code) return
  let run = at + 1 < text.length && earlier[at + 1] === from + 1 ? copyUnits[at + 1]! + 1 : 0
  if (run < copySearchUnitsMax) {
    const limit = Math.min(text.length - at, copySearchUnitsMax)
    while (run < limit && text.charCodeAt(from + run) === text.charCodeAt(at + run)) run++
  }
  copyUnits[at] = run
  if (run < copyUnitsMin) return
  offer(symbolBits[copySymbol]! + numberBits(run - copyUnitsMin) + numberBits(at - from - 1), copySymbol, run, at)
}

/** For each position the last one before it where the same four units may stand, or less than 0. */
function findEarlier(text: string): void {
  const last = text.length - copyUnitsMin
  for (let at = Math.max(0, last + 1); at < text.length; at++) earlier[at] = -1
  // Places of earlier texts are told from those of this one by their size; nothing has to be erased between texts.
  seenBase += textUnitsMax
  if (seenBase > 0x3fff_0000) {
    seenBase = textUnitsMax
    seen.fill(0)
  }
  for (let at = 0; at <= last; at++) {
    const hash =
      ((text.charCodeAt(at) * 0x9e5 +
        text.charCodeAt(at + 1) * 0x3d3 +
        text.charCodeAt(at + 2) * 0x1f35 +
        text.charCodeAt(at + 3) * 0x71) &
        0xffff) >>
      4
    earlier[at] = Math.max(-1, seen[hash]! - seenBase)
    seen[hash] = seenBase + at
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
