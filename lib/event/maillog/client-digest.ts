/** A client's address as two words, which is all that it takes to know it again; never both 0. */
export function clientDigest(address: string): readonly [number, number] {
  let first = 0x811c_9dc5
  let second = 0x9e37_79b1
  for (let place = 0; place < address.length; place++) {
    const code = address.charCodeAt(place)
    first = Math.imul(first ^ code, 0x0100_0193)
    second = Math.imul(second ^ code ^ (first >>> 16), 0x85eb_ca6b)
  }
  return [(first ^ (first >>> 15)) >>> 0, (second | 1) >>> 0]
}
