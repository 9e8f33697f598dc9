/** The first 96 bits of HMAC-SHA-256 (RFC 2104), as text. */
import { hash, type KeyObject } from 'node:crypto'

/** Characters of a MAC: exactly 12 bytes in base64url, so that no two texts stand for the same. */
export const macChars = 16
/** Longest text, both pieces together, in characters. */
export const macTextCharsMax = 8192

const blockBytes = 64
/** Inner block, then the text. */
const inner = Buffer.alloc(blockBytes + macTextCharsMax)
/** Outer block, then the inner hash. */
const outer = Buffer.alloc(blockBytes + 32)

interface Blocks {
  readonly inner: Buffer
  readonly outer: Buffer
}
const blocksOf = new WeakMap<KeyObject, Blocks>()

/**
 * MAC of a text of ASCII characters, given in two pieces that need not be joined for it.
 *
 * Two one-shot hashes take less than half the time of `createHmac`, which sets up a context for each link.
 *
 * @param secret of at most 64 bytes
 */
export function macOf(secret: KeyObject, head: string, text: string): string {
  const blocks = blocksOf.get(secret) ?? blocksFor(secret)
  inner.set(blocks.inner)
  const start = blockBytes + inner.write(head, blockBytes, 'latin1')
  const end = start + inner.write(text, start, 'latin1')
  outer.set(blocks.outer)
  outer.write(hash('sha256', inner.subarray(0, end), 'binary'), blockBytes, 'latin1')
  return hash('sha256', outer, 'base64url').slice(0, macChars)
}

function blocksFor(secret: KeyObject): Blocks {
  const bytes = secret.export()
  const padded = (pad: number) =>
    Buffer.from(Uint8Array.from({ length: blockBytes }, (_, index) => (bytes[index] ?? 0) ^ pad))
  const blocks = { inner: padded(0x36), outer: padded(0x5c) }
  blocksOf.set(secret, blocks)
  return blocks
}
