/** The whole pipeline as `./start.sh` runs it, on free ports and with a state folder of its own. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readRunningState, type RunningState } from '../../lib/pipeline/running-state.ts'
import { freePort, startProcess, type StartedProcess } from './process.ts'

const root = resolve(import.meta.dirname, '../..')

export interface StartResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export class TestPipeline {
  readonly dir: string
  readonly consoleUrl: string
  readonly trackerUrl: string
  readonly wrapperPort: number
  /** The configuration file. */
  readonly config: string

  private constructor(dir: string, consolePort: number, trackerPort: number, wrapperPort: number) {
    this.dir = dir
    this.config = join(dir, 'config.yaml')
    this.consoleUrl = `http://127.0.0.1:${consolePort}`
    this.trackerUrl = `http://127.0.0.1:${trackerPort}`
    this.wrapperPort = wrapperPort
  }

  /** Writes the configuration; nothing runs yet. */
  static async make(): Promise<TestPipeline> {
    const dir = mkdtempSync(join(tmpdir(), 'mta-pipeline-'))
    const [consolePort, mailboxPort] = [await freePort(), await freePort()]
    const pipeline = new TestPipeline(dir, consolePort, await freePort(), await freePort())
    writeFileSync(
      pipeline.config,
      `tracking-url: ${pipeline.trackerUrl}
link-keys: ${pipeline.keysFile}
wrapper:
  in-hostport: 127.0.0.1:${pipeline.wrapperPort}
  out-hostport: 127.0.0.1:${mailboxPort}
  out-tls: none
  metrics-hostport: 127.0.0.1:${await freePort()}
tracker:
  in-hostport: ${new URL(pipeline.trackerUrl).host}
  spill-dir: ${dir}/spill
  metrics-hostport: 127.0.0.1:${await freePort()}
feeder:
  endpoint: ${pipeline.consoleUrl}
  batch-age: 200ms
  record-wait: 5s
  request-timeout: 5s
  lease: 10s
  dead-letter-dir: ${dir}/dead
  metrics-hostport: 127.0.0.1:${await freePort()}
console:
  in-hostport: 127.0.0.1:${consolePort}
  smtp-hostport: 127.0.0.1:${mailboxPort}
  data-dir: ${dir}/console
  keep-mails: 1000000
  metrics-hostport: 127.0.0.1:${await freePort()}
`,
    )
    return pipeline
  }

  get keysFile(): string {
    return join(this.dir, 'link-keys')
  }

  /** Runs `./start.sh` with these words to its end. */
  start(...words: string[]): StartResult {
    const { REDIS_URL: _, ...env } = process.env
    return spawnSync('./start.sh', this.#args(words), { cwd: root, env, encoding: 'utf8', timeout: 120_000 })
  }

  /** Begins to run `./start.sh` with these words. */
  begin(...words: string[]): Promise<StartedProcess> {
    return startProcess('./start.sh', this.#args(words), { cwd: root, env: { REDIS_URL: undefined } })
  }

  #args(words: readonly string[]): string[] {
    return ['--config', this.config, '--state-dir', this.stateDir, ...words]
  }

  get stateDir(): string {
    return join(this.dir, 'state')
  }

  /** What is recorded of the supervisor and its children; undefined when nothing is. */
  state(): RunningState | undefined {
    return readRunningState(join(this.stateDir, 'run', 'pipeline.json'))
  }

  /** Process ids of what runs, by name. */
  running(): Map<string, number> {
    const children = this.state()?.children ?? []
    return new Map(children.flatMap(({ name, identity }) => (identity ? [[name, identity.pid] as const] : [])))
  }

  /** Stops everything and removes the folder. */
  close(): void {
    this.start('stop')
    rmSync(this.dir, { recursive: true, force: true })
  }
}
