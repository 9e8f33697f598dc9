/**
 * What it costs at least to pass a message through: EHLO and QUIT are answered here, everything else goes over as it
 * comes. Looks at nothing but the verb and a message's last bytes; no limits, no errors, nothing kept in step. Operands:
 * port, port of the upstream.
 */
import { connect, createServer, type Socket } from 'node:net'

const [port = 0, upstreamPort = 0] = process.argv.slice(2).map(Number)
const end = Buffer.from('\r\n.\r\n')

interface Upstream {
  readonly socket: Socket
  answered: (reply: Buffer) => void
}

const idle: Upstream[] = []

/** A connection on which a transaction may begin. */
async function acquire(): Promise<Upstream> {
  const kept = idle.pop()
  if (kept) return kept
  return new Promise(resolve => {
    const greeted = () => {
      upstream.answered = () => resolve(upstream)
      upstream.socket.write('EHLO bare.example\r\n')
    }
    const socket = connect({ port: upstreamPort, host: '127.0.0.1', noDelay: true })
    const upstream: Upstream = { socket, answered: greeted }
    socket.on('data', reply => upstream.answered(reply))
  })
}

function serve(client: Socket): void {
  let upstream: Upstream | undefined
  let message: Buffer[] | undefined
  const ask = (to: Upstream, bytes: Buffer, answered: () => void) => {
    to.answered = reply => {
      answered()
      client.write(reply)
    }
    to.socket.write(bytes)
  }
  const command = async (line: Buffer): Promise<void> => {
    const verb = line.toString('latin1', 0, 4)
    if (verb === 'EHLO') client.write('250 bare.example\r\n')
    else if (verb === 'QUIT') client.end('221 Bye\r\n')
    else {
      upstream ??= await acquire()
      ask(upstream, line, () => {
        if (verb === 'DATA') message = []
      })
    }
  }
  client.on('data', chunk => {
    if (!message || !upstream) {
      void command(chunk)
      return
    }
    message.push(chunk)
    if (!chunk.subarray(-end.length).equals(end)) return
    const used = upstream
    ask(used, Buffer.concat(message), () => {
      idle.push(used)
      upstream = undefined
    })
    message = undefined
  })
  client.write('220 bare.example ESMTP\r\n')
}

createServer({ noDelay: true }, serve).listen({ host: '127.0.0.1', port, backlog: 1024 })
