const encoder = new TextEncoder()

/** The longest beginning of a text that fits in so many bytes of UTF-8, whole characters only. */
export function cutUtf8(text: string, bytesMax: number): string {
  // A unit of UTF-16 takes three bytes at most.
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text
  const bytes = Buffer.allocUnsafe(bytesMax)
  const { written } = encoder.encodeInto(text, bytes)
  // A copy: a slice would keep the whole text in memory.
  return bytes.toString('utf8', 0, written)
}
