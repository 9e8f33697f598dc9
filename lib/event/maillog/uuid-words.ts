/** UUIDs as four words of 32 bits, so that hundreds of thousands take no strings; found in a text without a copy of it. */

/** What `findUuid` found. */
export const foundUuid = new Uint32Array(4)

/**
 * Finds the first UUID in a part of a text: the usual five groups anywhere in it, else 32 hexadecimal digits in a row.
 * @returns whether there is one; `foundUuid` holds it until the next call
 */
export function findUuid(text: string, from: number, to: number): boolean {
  // The dash after the first group has 8 digits before it.
  let dash = text.indexOf('-', from + 8)
  for (; dash !== -1 && dash + 28 <= to; dash = text.indexOf('-', dash + 1)) {
    if (
      text.charCodeAt(dash + 5) === 45 &&
      text.charCodeAt(dash + 10) === 45 &&
      text.charCodeAt(dash + 15) === 45 &&
      readDigits(text, dash - 8, 8, 0) &&
      readDigits(text, dash + 1, 4, 8) &&
      readDigits(text, dash + 6, 4, 12) &&
      readDigits(text, dash + 11, 4, 16) &&
      readDigits(text, dash + 16, 12, 20)
    )
      return true
  }
  let run = 0
  for (let at = from; at <= to; at++) {
    if (at < to && digitOf(text.charCodeAt(at)) !== noDigit) run++
    else {
      if (run === 32) return readDigits(text, at - 32, 32, 0)
      run = 0
    }
  }
  return false
}

export function isSameUuid(words: Uint32Array, from: number, others: Uint32Array, otherFrom: number): boolean {
  for (let word = 0; word < 4; word++) if (words[from + word] !== others[otherFrom + word]) return false
  return true
}

/** Lower case, with dashes. */
export function formatUuid(words: Uint32Array, from: number): string {
  let at = 0
  for (let word = 0; word < 4; word++) {
    const value = words[from + word]!
    for (let shift = 28; shift >= 0; shift -= 4) {
      const digit = (value >>> shift) & 15
      scratch[at++] = digit < 10 ? 48 + digit : 87 + digit
      if (at === 8 || at === 13 || at === 18 || at === 23) scratch[at++] = 45
    }
  }
  return scratch.toString('latin1')
}

const scratch = Buffer.allocUnsafeSlow(36)
const noDigit = 255
const digits = new Uint8Array(256).fill(noDigit)
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16)
  digits[digit.charCodeAt(0)] = value
  digits[digit.toUpperCase().charCodeAt(0)] = value
}

function digitOf(code: number): number {
  return code < 256 ? digits[code]! : noDigit
}

/** Reads digits into `foundUuid`, from the digit `place` on. */
function readDigits(text: string, from: number, count: number, place: number): boolean {
  for (let number = 0; number < count; number++) {
    const digit = digitOf(text.charCodeAt(from + number))
    if (digit === noDigit) return false
    const word = (place + number) >>> 3
    foundUuid[word] = (foundUuid[word]! << 4) | digit
  }
  return true
}
