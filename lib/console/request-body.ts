/** Reads the body of a request into memory, up to a limit. */
import type { IncomingMessage } from 'node:http'

/** The body is larger than what is taken. */
class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge'
  readonly statusCode = 413
}

/** The client went away before the body was complete. */
class BodyIncomplete extends Error {
  override readonly name = 'BodyIncomplete'
  readonly statusCode = 400
}

/**
 * How much more than the limit is read and forgotten, as a multiple of it: a client that is still sending hears an
 * answer only when it has finished, and learns nothing from a connection that breaks.
 */
const patience = 20

/** @throws {BodyTooLarge} {BodyIncomplete} */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let bytes = 0
  try {
    // Without destroying it at the end, so that the answer still has a connection.
    for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += piece.length
      if (bytes <= bytesMax) pieces.push(piece)
      else pieces.length = 0
      if (bytes > bytesMax * patience) break
    }
  } catch (error) {
    throw new BodyIncomplete(`the body did not arrive whole: ${(error as Error).message}`)
  }
  if (bytes > bytesMax) throw new BodyTooLarge(`the body is larger than ${bytesMax} bytes`)
  return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)
}
