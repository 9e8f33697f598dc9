/** A TCP proxy that misbehaves on request: cuts, goes silent, loses the answer to one command, is narrow. */
import { connect, createServer, type Socket } from 'node:net'

export interface FaultProxy {
  readonly port: number
  /** Connections open at the moment. */
  readonly connections: number
  /** Breaks every connection; new ones are accepted. */
  cut: () => void
  /** Forwards nothing in either direction and closes nothing, on connections old and new. */
  goSilent: () => void
  /** Forwards what connections made from now on bring; those from before stay silent. */
  heal: () => void
  /**
   * Lets the next request that contains `word` (any case) through, swallows the answer and breaks that connection.
   * Settles when that has happened.
   */
  loseAnswerTo: (word: string) => Promise<void>
  /** Forwards no more than so many bytes a second to the server, on each connection made from now on. */
  narrow: (bytesPerSecond: number) => void
  close: () => Promise<void>
}

export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const sockets = new Set<Socket>()
  const silent = new WeakSet<Socket>()
  let isSilent = false
  let bytesPerSecond = Infinity
  let trap: { word: string; sprung: () => void } | undefined
  const server = createServer(client => {
    const target = connect(targetPort, '127.0.0.1')
    let isSwallowing: (() => void) | undefined
    const msPerByte = 1_000 / bytesPerSecond
    let freeAt = 0
    if (isSilent) silent.add(client)
    const end = () => {
      client.destroy()
      target.destroy()
      sockets.delete(client)
    }
    sockets.add(client)
    for (const socket of [client, target]) socket.on('error', end).on('close', end)
    client.on('data', bytes => {
      if (silent.has(client)) return
      if (trap && bytes.toString('latin1').toLowerCase().includes(trap.word)) {
        isSwallowing = trap.sprung
        trap = undefined
      }
      if (msPerByte === 0) {
        target.write(bytes)
        return
      }
      freeAt = Math.max(freeAt, performance.now()) + bytes.length * msPerByte
      setTimeout(() => target.write(bytes), freeAt - performance.now())
    })
    target.on('data', bytes => {
      if (silent.has(client)) return
      if (isSwallowing) {
        isSwallowing()
        end()
      } else client.write(bytes)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address.port,
    get connections() {
      return sockets.size
    },
    cut,
    goSilent: () => {
      isSilent = true
      for (const socket of sockets) silent.add(socket)
    },
    heal: () => (isSilent = false),
    narrow: most => (bytesPerSecond = most),
    loseAnswerTo: word => new Promise(resolve => (trap = { word: word.toLowerCase(), sprung: resolve })),
    close: async () => {
      cut()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
