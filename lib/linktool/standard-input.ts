/** Everything on standard input. */
import { StartError } from '../process/run.ts'

/** Largest message that is read from standard input, in bytes. */
const messageBytesMax = 256 * 1024 * 1024

/** @throws {StartError} when there is more than `messageBytesMax` */
export async function readStandardInput(): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    const piece = chunk as Buffer
    bytes += piece.length
    if (bytes > messageBytesMax) throw new StartError(`the message has more than ${messageBytesMax} bytes`)
    chunks.push(piece)
  }
  return Buffer.concat(chunks)
}
