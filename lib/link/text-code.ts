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
 * not part of it: a better choice may be made one day, and old texts will still be read. `encode-text.ts` writes, `decode-text.ts` reads.
 */
import { symbolRows, type Operation } from './text-code-table.ts'

/** Longest text that is encoded or decoded, in UTF-16 code units. */
export const textUnitsMax = 8192
/** Shortest copy, in code units. */
export const copyUnitsMin = 4
/** Shortest run of hex digits. */
export const hexDigitsMin = 8
/** Shortest run of characters that are in the alphabet themselves. */
export const wordUnitsMin = 8

/** The characters of base64url, by value. */
export const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** ASCII code → value in the alphabet; 255 for all others. */
export const alphabetValues = new Uint8Array(128).fill(255)
for (let value = 0; value < 64; value++) alphabetValues[alphabet.charCodeAt(value)] = value

export const hexDigits = '0123456789abcdef'
export const hexDigitsUpper = '0123456789ABCDEF'

export interface Symbol {
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

/** All symbols; their place is their number. */
export const symbols: readonly Symbol[] = canonicalCode()
