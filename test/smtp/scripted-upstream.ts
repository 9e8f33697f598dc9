/** An upstream whose every word is the test's, but for greeting and EHLO. */
import { createServer, type Server } from 'node:net'
import { Peer } from './peer.ts'

export class ScriptedUpstream {
  readonly server: Server
  /** In the order in which they connected, after their EHLO was answered. */
  readonly connections: Peer[] = []
  /** Keyword lines after EHLO. */
  keywords: readonly string[]
  #waiting: (() => void)[] = []

  private constructor(keywords: readonly string[]) {
    this.keywords = keywords
    this.server = createServer(socket => {
      const peer = new Peer(socket)
      socket.setNoDelay(true)
      peer.say('220 mta.test ESMTP\r\n')
      void (async () => {
        await peer.line()
        const lines = ['mta.test', ...this.keywords]
        peer.say(lines.map((line, at) => `250${at < lines.length - 1 ? '-' : ' '}${line}\r\n`).join(''))
        this.connections.push(peer)
        for (const resume of this.#waiting.splice(0)) resume()
      })()
    })
  }

  static async start(keywords: readonly string[]): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream(keywords)
    await new Promise<void>(resolve => {
      upstream.server.listen(0, '127.0.0.1', resolve)
    })
    return upstream
  }

  get port(): number {
    const address = this.server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return address.port
  }

  /** The n-th connection, from 1. */
  async connection(number: number): Promise<Peer> {
    const deadline = performance.now() + 5_000
    for (;;) {
      const peer = this.connections[number - 1]
      if (peer) return peer
      if (performance.now() > deadline) throw new Error(`waited 5000 ms for upstream connection ${number}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, 100)
        this.#waiting.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  async close(): Promise<void> {
    for (const peer of this.connections) peer.socket.destroy()
    await new Promise(resolve => this.server.close(resolve))
  }
}
