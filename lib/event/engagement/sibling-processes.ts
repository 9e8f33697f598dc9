/**
 * Further processes of the same program that share its port: started with the same command line, restarted when they
 * end by themselves, and gone when the first process is.
 *
 * The kernel spreads connections over them (SO_REUSEPORT). Each has a spill folder and a metrics port of its own.
 */
import { fork, type ChildProcess } from 'node:child_process'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { formatHostPort, type HostPort } from '../../process/option.ts'

const numberVariable = 'MTA_TRACKING_SIBLING'
const restartMsMin = 1000
const restartMsMax = 30_000

/** Which of the processes this one is: 0 is the first, that the user started. */
export function siblingNumber(): number {
  return Number(process.env[numberVariable] ?? 0)
}

/** In a sibling: ends the process, as SIGTERM does, when the first process is gone. */
export function endWithFirst(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel?.unref()
}

export interface SiblingOptions {
  /** Processes beside this one. */
  readonly count: number
  /** Of the first process; the n-th sibling takes the port n above. */
  readonly metricsHostport: HostPort | undefined
  readonly log: Logger
  readonly health: Health
}

export class SiblingProcesses {
  readonly #options: SiblingOptions
  readonly #children = new Map<number, ChildProcess>()
  readonly #timers = new Map<number, NodeJS.Timeout>()
  #closing = false

  constructor(options: SiblingOptions) {
    this.#options = options
    for (let number = 1; number <= options.count; number++) this.#start(number, restartMsMin)
  }

  /** Hands SIGHUP on. */
  reload(): void {
    for (const child of this.#children.values()) child.kill('SIGHUP')
  }

  /** Asks them to end and waits for it; idempotent. */
  async close(): Promise<void> {
    this.#closing = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    await Promise.all(
      [...this.#children.values()].map(
        child =>
          new Promise<void>(resolve => {
            child.once('exit', () => resolve())
            child.kill('SIGTERM')
          }),
      ),
    )
  }

  #start(number: number, restartMs: number): void {
    const { log, metricsHostport } = this.#options
    const at = metricsHostport && formatHostPort({ ...metricsHostport, port: metricsHostport.port + number })
    const child = fork(process.argv[1] ?? '', [...process.argv.slice(2), ...(at ? ['--metrics-hostport', at] : [])], {
      env: { ...process.env, [numberVariable]: String(number) },
      stdio: 'inherit',
    })
    const began = Date.now()
    this.#children.set(number, child)
    this.#report()
    child.once('error', () => undefined)
    child.once('exit', (code, signal) => {
      this.#children.delete(number)
      if (this.#closing) return
      this.#report()
      const again = Date.now() - began > restartMsMax ? restartMsMin : restartMs
      log.error({ sibling: number, code, signal, restartInMs: again }, 'a process beside this one ended')
      const timer = setTimeout(() => this.#start(number, Math.min(again * 2, restartMsMax)), again)
      this.#timers.set(number, timer)
    })
  }

  #report(): void {
    const missing = this.#options.count - this.#children.size
    this.#options.health.set(
      'processes',
      missing > 0 ? `${missing} of ${this.#options.count + 1} processes ended: the log says why` : undefined,
    )
  }
}
