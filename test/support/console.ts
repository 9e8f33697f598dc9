/** A console for tests: on free ports, with a folder of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { freePort, startProcess, until, type StartedProcess } from './process.ts'

const program = fileURLToPath(new URL('../../cmd/console.ts', import.meta.url))

export interface StartedConsole {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly smtpPort: number
  readonly metricsUrl: string
  readonly dir: string
  process: StartedProcess
  /** Ends it without warning, and waits for its end. */
  crash: () => Promise<void>
  /** Starts it again on the same ports and folder. */
  restart: () => Promise<void>
  /** Stops it and removes its folder. */
  stop: () => Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** Starts a console and waits until it is healthy. */
export async function startConsole(
  options: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<StartedConsole> {
  const dir = mkdtempSync(join(tmpdir(), 'console-'))
  const [httpPort, smtpPort, metricsPort] = [await freePort(), await freePort(), await freePort()]
  const metricsUrl = `http://127.0.0.1:${metricsPort}`
  const args = [
    program,
    `--in-hostport=127.0.0.1:${httpPort}`,
    `--smtp-hostport=127.0.0.1:${smtpPort}`,
    `--metrics-hostport=127.0.0.1:${metricsPort}`,
    `--data-dir=${join(dir, 'data')}`,
    ...options,
  ]
  const start = async () => {
    const started = await startProcess('node', args, { cwd: dir, env })
    await until(
      'the console to be healthy',
      async () => {
        if (started.child.exitCode !== null) throw new Error(started.output.stdout + started.output.stderr)
        const answer = await fetch(`${metricsUrl}/health`)
        await answer.text()
        // Healthy says little before both listeners are open; the log says that.
        return answer.ok && started.output.stdout.includes('"listening"')
      },
      30_000,
    )
    return started
  }
  const running: StartedConsole = {
    url: `http://127.0.0.1:${httpPort}`,
    smtpPort,
    metricsUrl,
    dir,
    process: await start(),
    crash: async () => {
      running.process.kill('SIGKILL')
      await running.process.exited
    },
    restart: async () => {
      running.process = await start()
    },
    stop: async () => {
      const end = await running.process.stop()
      rmSync(dir, { recursive: true, force: true })
      return end
    },
  }
  return running
}

/** Uploads a batch as the feeder does; `lines` are joined and gzipped. */
export function postBatch(
  url: string,
  lines: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${url}/api/v1/ingest/events`, {
    method: 'POST',
    headers: {
      authorization: 'key',
      'content-type': 'application/x-ndjson',
      'content-encoding': 'gzip',
      ...headers,
    },
    body: gzipSync(lines.map(line => `${line}\n`).join('')),
  })
}

/** The events that a console stored, oldest first. */
export async function storedEvents(url: string, query = ''): Promise<Record<string, unknown>[]> {
  const answer = await fetch(`${url}/api/events${query}`)
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${answer.status}: ${text}`)
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as Record<string, unknown>)
}
