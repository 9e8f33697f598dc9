/**
 * Numbers that stand for a text in tables of many. Nobody chooses the texts but who signs the links: no key is needed.
 */

/** 64 bits, as two signed numbers of 32; never both 0. */
export class Fingerprint {
  high = 1
  low = 1

  /** Of a text. */
  ofText(text: string): this {
    let high = 0x243f6a88
    let low = 0x085a308d
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at)
      high = Math.imul(((high << 15) | (high >>> 17)) ^ unit, 0x85ebca6b)
      low = Math.imul(((low << 13) | (low >>> 19)) ^ unit, 0xc2b2ae35)
    }
    return this.#set(high, low)
  }

  /** Of what another stands for together with a number of 32 bits. */
  ofPair({ high, low }: Fingerprint, number: number): this {
    return this.#set(
      Math.imul(high ^ number, 0x85ebca6b),
      Math.imul(low ^ ((number << 16) | (number >>> 16)), 0xc2b2ae35),
    )
  }

  #set(high: number, low: number): this {
    this.high = spread(high ^ (low >>> 15))
    this.low = spread(low ^ (high >>> 15)) || 1
    return this
  }
}

/** Every bit comes to depend on every other (the last step of MurmurHash3). One to one. */
function spread(number: number): number {
  let mixed = Math.imul(number ^ (number >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
