/**
 * Several processes that serve one port (SO_REUSEPORT: the kernel spreads the connections). This one only starts and
 * watches them, adds up their metrics, and tells what is wrong with any of them.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { AggregatorRegistry } from 'prom-client'
import type { HealthReport } from '../../process/health.ts'
import type { Settings } from '../../process/option.ts'
import { type ProcessContext, type Running } from '../../process/run.ts'
import { StartError } from '../../process/start-error.ts'
import type { WithCommon } from '../../process/settings.ts'
import type { wrapperOptions } from './options.ts'

export type WrapperSettings = Settings<WithCommon<typeof wrapperOptions>>

/** To a serving process. */
export type ToProcess =
  | { readonly kind: 'start'; readonly settings: WrapperSettings }
  | { readonly kind: 'reload' }
  | { readonly kind: 'metrics'; readonly request: number }
  | { readonly kind: 'stop' }

/** From a serving process. */
export type FromProcess =
  | { readonly kind: 'ready' }
  /** It can't start, and why. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'health'; readonly report: HealthReport }
  | { readonly kind: 'metrics'; readonly request: number; readonly metrics: object[] }

/** Wait before a process that has died is started again; doubled each time, up to the second figure. */
const restartMs = [1_000, 30_000] as const
/** A process that has lived for so long is restarted without much ado. */
const steadyMs = 60_000
/** Longest wait for the metrics of a process. */
const metricsMs = 1_000

/** Starts `settings.processes` of them. */
export async function startProcesses(context: ProcessContext<typeof wrapperOptions>): Promise<Running> {
  const { settings, metrics, onReload } = context
  const places = Array.from({ length: settings.processes }, (_, index) => new Place(context, index + 1))
  try {
    await Promise.all(places.map(place => place.start()))
  } catch (error) {
    await Promise.all(places.map(place => place.stop()))
    throw error
  }
  // What is asked of this process's registry is answered by the sum of all.
  const own = metrics.metrics.bind(metrics)
  metrics.metrics = async () => {
    const all = await Promise.all(places.map(place => place.metrics()))
    return `${await own()}\n${await AggregatorRegistry.aggregate(all).metrics()}`
  }
  onReload(() => {
    for (const place of places) place.send({ kind: 'reload' })
  })
  return {
    close: async () => {
      await Promise.all(places.map(place => place.stop()))
    },
  }
}

/** One of the processes, and its successors. */
class Place {
  readonly #context: ProcessContext<typeof wrapperOptions>
  readonly #number: number
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()
  #stopping = false
  #delayMs: number = restartMs[0] / 2
  #restart: NodeJS.Timeout | undefined
  #request = 0
  readonly #requests = new Map<number, (metrics: object[]) => void>()

  constructor(context: ProcessContext<typeof wrapperOptions>, number: number) {
    this.#context = context
    this.#number = number
  }

  /** @throws {StartError} */
  async start(): Promise<void> {
    const child = fork(new URL('wrapper-process.ts', import.meta.url), { serialization: 'advanced' })
    const begun = performance.now()
    this.#child = child
    this.#exited = new Promise(resolve => {
      child.once('exit', () => resolve())
    })
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', message => {
        const from = message as FromProcess
        if (from.kind === 'ready') resolve()
        else if (from.kind === 'failed') reject(new StartError(from.reason))
        else this.#hear(from)
      })
      child.once('exit', () => reject(new StartError('a serving process ended while it started')))
      child.once('error', reject)
    })
    child.on('error', () => undefined)
    this.send({ kind: 'start', settings: this.#context.settings })
    await ready
    child.once('exit', (code, signal) => this.#died(performance.now() - begun, signal ?? `code ${code}`))
  }

  send(message: ToProcess): void {
    if (this.#child?.connected) this.#child.send(message)
  }

  async metrics(): Promise<object[]> {
    const request = ++this.#request
    return new Promise(resolve => {
      const settle = (metrics: object[]) => {
        clearTimeout(late)
        this.#requests.delete(request)
        resolve(metrics)
      }
      const late = setTimeout(() => settle([]), metricsMs)
      this.#requests.set(request, settle)
      this.send({ kind: 'metrics', request })
    })
  }

  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restart)
    this.send({ kind: 'stop' })
    await this.#exited
  }

  #hear(from: Exclude<FromProcess, { kind: 'ready' | 'failed' }>): void {
    if (from.kind === 'metrics') this.#requests.get(from.request)?.(from.metrics)
    else this.#tell(from.report.reasons)
  }

  /** Causes of this process that are told at the moment. */
  readonly #told = new Set<string>()

  #tell(reasons: Readonly<Record<string, string>>): void {
    for (const cause of this.#told)
      if (!(cause in reasons)) this.#context.health.set(`${cause}-${this.#number}`, undefined)
    this.#told.clear()
    for (const [cause, reason] of Object.entries(reasons)) {
      this.#told.add(cause)
      this.#context.health.set(`${cause}-${this.#number}`, reason)
    }
  }

  #died(livedMs: number, how: string): void {
    if (this.#stopping) return
    this.#delayMs = livedMs > steadyMs ? restartMs[0] : Math.min(this.#delayMs * 2, restartMs[1])
    const reason = `serving process ${this.#number} has ended (${how}) and is started again`
    this.#context.log.error({ how, inMs: this.#delayMs }, 'a serving process has ended and is started again')
    this.#tell({ process: reason })
    this.#restart = setTimeout(() => {
      this.start().then(
        () => this.#tell({}),
        () => this.#died(0, 'it did not start'),
      )
    }, this.#delayMs)
  }
}
