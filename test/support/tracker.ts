/** A tracker of a test's own: a real process on a free loopback port, with keys and folders of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LinkKeys } from '../../lib/link/keys.ts'
import type { TrackedLink } from '../../lib/link/link.ts'
import { signToken } from '../../lib/link/token.ts'
import { newMessageId } from '../../lib/record/message-id.ts'
import { keyLine, writeKeyFile } from './link-keys.ts'
import { freePort, startProcess, waitForPort, type StartedProcess } from './process.ts'

export interface TestTracker {
  readonly port: number
  readonly url: string
  readonly metricsPort: number
  readonly dir: string
  readonly keyFile: string
  readonly process: StartedProcess
  /** Path of a link, signed with the key in use. Its message is an hour old unless it says otherwise. */
  path: (link: Partial<TrackedLink>) => string
  /** The value of a sample in /metrics, with labels as they stand there; undefined when there is none. */
  metric: (sample: string) => Promise<number | undefined>
  /** Starts it anew in its folders on its port, after it was killed. */
  restart: () => Promise<void>
  /** Ends it and removes the folder. */
  stop: () => Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

export interface TrackerOptions {
  readonly redisUrl: string
  /** Further options of the command. */
  readonly args?: readonly string[]
  /** Words put before the command, as `['taskset', '-c', '0']`. */
  readonly under?: readonly string[]
}

const command = new URL('../../cmd/tracker.ts', import.meta.url).pathname

export async function startTracker({ redisUrl, args = [], under = [] }: TrackerOptions): Promise<TestTracker> {
  const dir = mkdtempSync(join(tmpdir(), 'mta-tracker-'))
  const keyFile = writeKeyFile(join(dir, 'link-keys'), keyLine('k1', 'signing'))
  const keys = LinkKeys.load(keyFile)
  const [port, metricsPort] = [await freePort(), await freePort()]
  const start = async () => {
    const words = [
      ...under,
      process.execPath,
      command,
      ...['--in-hostport', `127.0.0.1:${port}`, '--metrics-hostport', `127.0.0.1:${metricsPort}`],
      ...['--redis-url', redisUrl, '--link-keys', keyFile, '--spill-dir', join(dir, 'spill')],
      ...args,
    ]
    const started = await startProcess(words[0]!, words.slice(1), { cwd: dir })
    const ended = started.exited.then(() => {
      throw new Error(`the tracker did not start: ${started.output.stdout}${started.output.stderr}`)
    })
    await Promise.race([waitForPort(port, '127.0.0.1', 30_000), ended])
    ended.catch(() => undefined)
    return started
  }
  let running = await start()
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    metricsPort,
    dir,
    keyFile,
    get process() {
      return running
    },
    path: link => `/${signToken({ action: 'click', messageId: newMessageId(Date.now() - 3_600_000), ...link }, keys)}`,
    metric: async sample => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
      const line = text.split('\n').find(line => line.startsWith(`${sample} `))
      return line === undefined ? undefined : Number(line.slice(sample.length + 1))
    },
    restart: async () => {
      running.kill('SIGKILL')
      await running.exited
      running = await start()
    },
    stop: async () => {
      const end = await running.stop(10_000)
      rmSync(dir, { recursive: true, force: true })
      return end
    },
  }
}
