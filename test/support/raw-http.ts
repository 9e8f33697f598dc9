/** HTTP as bytes: for requests that no client library would send, and clients that are slow. */
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** Everything that came, byte for byte as Latin-1. */
  readonly text: string
}

/**
 * Sends bytes on a connection of their own and reads until the other side closes or `idleMs` pass without a byte.
 * @param isLast says after the bytes that nothing more will come
 */
export async function rawRequest(
  port: number,
  bytes: string | Buffer,
  idleMs = 15_000,
  isLast = false,
): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  await new Promise<void>(resolve => {
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.once('close', () => resolve())
    const sent = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    if (isLast) socket.end(sent)
    else socket.write(sent)
  })
  return parseAnswer(Buffer.concat(chunks).toString('latin1'))
}

/** Reads the first answer in a text; status 0 when there is none. */
export function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\r\n')
  const headers = new Map(
    lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0), headers, body: text.slice(end + 4), text }
}

/** A connection that says something and then nothing more; `closed` settles when the other side ends it. */
export function slowClient(port: number, says: string): { socket: Socket; closed: Promise<void> } {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  socket.write(says)
  return { socket, closed: new Promise(resolve => socket.once('close', () => resolve())) }
}
