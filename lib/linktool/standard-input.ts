/** Everything on standard input. */
import { addAbortSignal } from 'node:stream'
import { StartError } from '../process/start-error.ts'

/** Largest message that is read from standard input, in bytes. */
const messageBytesMax = 256 * 1024 * 1024

/** @throws {StartError} when there is more than `messageBytesMax`, or when asked to stop before its end */
export async function readStandardInput(stopping: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of addAbortSignal(stopping, process.stdin)) {
      const piece = chunk as Buffer
      bytes += piece.length
      if (bytes > messageBytesMax) throw new StartError(`the message has more than ${messageBytesMax} bytes`)
      chunks.push(piece)
    }
  } catch (error) {
    if (stopping.aborted) throw new StartError('stopped before the end of standard input')
    throw error
  }
  return Buffer.concat(chunks)
}
