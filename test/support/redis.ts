/** A Redis of its own for a test: free loopback port, fresh folder, append-only file on. */
import { mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort, startProcess, until, type StartedProcess } from './process.ts'

export interface TestRedis {
  /** `redis://127.0.0.1:PORT`; the same after a restart. */
  readonly url: string
  readonly port: number
  /** A second way in: the path of its unix socket. */
  readonly socket: string
  readonly pid: number
  readonly dir: string
  /** A connection with ioredis's own defaults, for the test to look and to set things up; closed by `stop`. */
  readonly client: Redis
  /** Sends a signal: SIGKILL, SIGSTOP, SIGCONT. After SIGKILL waits for its end. */
  kill: (signal: NodeJS.Signals) => Promise<void>
  /** Starts it again on the same port and folder, after a kill or in place of the running one (SIGKILL). */
  restart: () => Promise<void>
  /**
   * Starts it again, after a kill, without the last bytes of its append-only file: what it confirmed and had not written
   * yet. Redis leaves out what is cut in two.
   */
  restartWithout: (bytes: number) => Promise<void>
  /** Starts an empty one on the same port, as when somebody replaces the server. */
  replace: () => Promise<void>
  /** Ends it and removes the folder. */
  stop: () => Promise<void>
}

/** @param config further lines of configuration as options, `['--maxmemory', '3mb']` */
export async function startRedis(config: readonly string[] = []): Promise<TestRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'mta-redis-'))
  const port = await freePort()
  const socket = join(dir, 'redis.sock')
  const start = async (): Promise<StartedProcess> => {
    const server = await startProcess('redis-server', [
      ...['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', socket, '--dir', dir],
      ...['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
      ...config,
    ])
    await until('Redis to be ready', () => {
      if (server.child.exitCode !== null) throw new Error(server.output.stdout)
      return server.output.stdout.includes('Ready to accept connections')
    })
    return server
  }
  let server = await start()
  const client = new Redis(port, '127.0.0.1', { protocol: 2, lazyConnect: true, retryStrategy: () => 50 })
  client.on('error', () => undefined)
  const kill = async (signal: NodeJS.Signals) => {
    server.kill(signal)
    if (signal === 'SIGKILL') await server.exited
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    socket,
    dir,
    client,
    get pid() {
      return server.pid
    },
    kill,
    restart: async () => {
      await kill('SIGKILL')
      server = await start()
    },
    restartWithout: async bytes => {
      await kill('SIGKILL')
      const files = await readdir(join(dir, 'appendonlydir'))
      const last = join(dir, 'appendonlydir', files.findLast(name => name.endsWith('.incr.aof')) ?? '')
      await truncate(last, Math.max(0, (await stat(last)).size - bytes))
      server = await start()
    },
    replace: async () => {
      await kill('SIGKILL')
      await rm(join(dir, 'appendonlydir'), { recursive: true, force: true })
      server = await start()
    },
    stop: async () => {
      client.disconnect()
      await server.stop(2_000)
      await rm(dir, { recursive: true, force: true })
    },
  }
}
