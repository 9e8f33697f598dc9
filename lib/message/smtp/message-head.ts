/** The header of a message that is held in pieces. */
import { HeaderBlock } from '../mime/header-block.ts'

/** A longer header is not looked into, in bytes. */
const headerBytesMax = 256 * 1024
const emptyLine = Buffer.from('\r\n\r\n')

/** Undefined when the header is longer than 256 KiB. */
export function messageHead(pieces: readonly Buffer[]): HeaderBlock | undefined {
  const first: Buffer[] = []
  let bytes = 0
  for (const piece of pieces) {
    first.push(piece)
    bytes += piece.length
    if (bytes > headerBytesMax) break
  }
  const head = Buffer.concat(first, Math.min(bytes, headerBytesMax))
  const end = head.indexOf(emptyLine)
  if (end !== -1) return new HeaderBlock(head.subarray(0, end + 2))
  return bytes > headerBytesMax ? undefined : new HeaderBlock(head)
}
