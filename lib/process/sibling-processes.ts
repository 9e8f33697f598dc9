/**
 * Further processes of the same program that share its port: started with the same command line, restarted when they
 * end by themselves, and gone when the first process is. The kernel spreads connections over them (SO_REUSEPORT).
 *
 * The first process speaks for all: its metrics are the sum, its health has the troubles of the others. A sum of counters
 * never falls while the first process lives: who reads them (Prometheus) would take that for a new start of all.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { aggregatorRegistry, type MetricObjectWithValues, type MetricValue, type Registry } from './prometheus.ts'
import type { Health, HealthReport } from './health.ts'
import type { Logger } from './log.ts'

const numberVariable = 'MTA_TRACKING_SIBLING'
const restartMsMin = 1000
const restartMsMax = 30_000
/** How often a sibling looks whether its health has changed. */
const healthMs = 1000
/** How long the first process waits for the metrics of a sibling; what it said last counts then. */
const metricsMs = 1000

type Metrics = MetricObjectWithValues<MetricValue<string>>[]

/** Kinds of metrics that outlast who counted them. */
const lasting: ReadonlySet<string> = new Set(['counter', 'histogram'])

/** What a sibling tells the first process. */
interface Report {
  readonly health?: HealthReport
  readonly metrics?: Metrics
}

/** Which of the processes this one is: 0 is the first, that the user started. */
export function siblingNumber(): number {
  return Number(process.env[numberVariable] ?? 0)
}

/** In a sibling: reports to the first process, and ends as SIGTERM does when that is gone. */
function serveFirst(metrics: Registry, health: Health): void {
  // The channel breaks when the first process ends; 'disconnect' says so.
  const tell = (report: Report) => process.send?.(report, undefined, undefined, () => undefined)
  let told = ''
  setInterval(() => {
    const report = health.report()
    const text = JSON.stringify(report)
    if (text !== told) tell({ health: report })
    told = text
  }, healthMs).unref()
  process.on('message', () => {
    void metrics.getMetricsAsJSON().then(found => tell({ metrics: found }))
  })
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel?.unref()
}

/** What siblings need of the process they are started in; a ProcessContext has it. */
export interface SiblingContext {
  readonly metrics: Registry
  readonly health: Health
  readonly log: Logger
  onReload: (reload: () => void) => void
}

/**
 * In the first process starts the others, once it listens itself; in one of those reports to the first.
 * @param count of all processes
 * @param withMetrics whether the first process serves its metrics
 * @returns undefined when there is nothing to close
 */
export function joinSiblings(
  { metrics, health, log, onReload }: SiblingContext,
  count: number,
  withMetrics: boolean,
): SiblingProcesses | undefined {
  if (siblingNumber() > 0) {
    serveFirst(metrics, health)
    return undefined
  }
  if (count <= 1) return undefined
  const siblings = new SiblingProcesses({ count: count - 1, withMetrics, metrics, health, log })
  onReload(() => siblings.reload())
  return siblings
}

interface SiblingOptions {
  /** Processes beside this one. */
  readonly count: number
  /** Whether the first process serves its metrics. */
  readonly withMetrics: boolean
  /** Of the first process; its text becomes the sum of all. */
  readonly metrics: Registry
  readonly health: Health
  readonly log: Logger
}

interface Sibling {
  readonly child: ChildProcess
  /** It has spoken, so it hears. */
  isUp: boolean
  /** What its health was last said to be wrong with. */
  troubles: readonly string[]
  /** What it said last. */
  metrics: Metrics
  /** Waits for its metrics. */
  heard: (() => void) | undefined
}

class SiblingProcesses {
  readonly #options: SiblingOptions
  readonly #siblings = new Map<number, Sibling>()
  readonly #timers = new Map<number, NodeJS.Timeout>()
  /** What siblings that have ended had counted. */
  #ended: Metrics[] = []
  #sum: Promise<string> | undefined
  #closing = false

  constructor(options: SiblingOptions) {
    this.#options = options
    for (let number = 1; number <= options.count; number++) this.#start(number, restartMsMin)
    const { metrics } = options
    metrics.metrics = () => {
      // Asked by two at once, both get the same.
      this.#sum ??= this.#addUp().finally(() => (this.#sum = undefined))
      return this.#sum
    }
  }

  async #addUp(): Promise<string> {
    const siblings = [...this.#siblings.values()]
    await Promise.all(siblings.map(refreshMetrics))
    const own = (await this.#options.metrics.getMetricsAsJSON()) as Metrics
    // In one step from here, so that one that ends meanwhile is neither missed nor counted twice.
    const living = [...this.#siblings.values()].map(sibling => sibling.metrics)
    const ended = this.#ended.splice(0)
    const AggregatorRegistry = aggregatorRegistry()
    const sum = AggregatorRegistry.aggregate([own, ...living, ...ended])
    if (ended.length > 0) this.#ended.push(await AggregatorRegistry.aggregate(ended).getMetricsAsJSON())
    return sum.metrics()
  }

  /** Hands SIGHUP on; to one that is still starting it would be the end, and it has just opened everything anyway. */
  reload(): void {
    for (const { child, isUp } of this.#siblings.values()) if (isUp) child.kill('SIGHUP')
  }

  /** Asks them to end and waits for it; idempotent. */
  async close(): Promise<void> {
    this.#closing = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    await Promise.all(
      [...this.#siblings.values()].map(
        ({ child }) =>
          new Promise<void>(resolve => {
            child.once('exit', () => resolve())
            child.kill('SIGTERM')
          }),
      ),
    )
  }

  #start(number: number, restartMs: number): void {
    const { log, withMetrics } = this.#options
    // A port of its own choice: what a sibling counts is in the sum, and the numbers above may be another process's.
    const more = withMetrics ? ['--metrics-hostport', '127.0.0.1:0'] : []
    const child = fork(process.argv[1] ?? '', [...process.argv.slice(2), ...more], {
      env: { ...process.env, [numberVariable]: String(number) },
      stdio: 'inherit',
    })
    const began = performance.now()
    const sibling: Sibling = { child, isUp: false, troubles: [], metrics: [], heard: undefined }
    this.#siblings.set(number, sibling)
    this.#report()
    child.on('message', (report: Report) => {
      sibling.isUp = true
      if (report.metrics) {
        sibling.metrics = report.metrics
        sibling.heard?.()
      }
      if (report.health) {
        sibling.troubles = Object.values(report.health.reasons)
        this.#report()
      }
    })
    const ended = (code: number | null, signal: string | null) => {
      if (!this.#siblings.delete(number)) return
      const counted = sibling.metrics.filter(({ type }) => lasting.has(String(type)))
      if (counted.length > 0) this.#ended.push(counted)
      if (this.#closing) return
      this.#report()
      const again = performance.now() - began > restartMsMax ? restartMsMin : restartMs
      log.error({ sibling: number, code, signal, restartInMs: again }, 'a process beside this one ended')
      const timer = setTimeout(() => this.#start(number, Math.min(again * 2, restartMsMax)), again)
      this.#timers.set(number, timer)
    }
    child.on('error', error => {
      // Without a pid it never was; there will be no 'exit'.
      if (child.pid === undefined) ended(null, error.message)
    })
    child.once('exit', ended)
  }

  #report(): void {
    const { health, count } = this.#options
    const missing = count - this.#siblings.size
    health.set('processes', missing > 0 ? `${missing} of ${count + 1} processes ended: the log says why` : undefined)
    const troubles = new Set([...this.#siblings.values()].flatMap(sibling => sibling.troubles))
    health.set('siblings', troubles.size > 0 ? [...troubles].join('; ') : undefined)
  }
}

/** Has a sibling say what it has counted; waits no longer than it may take. */
function refreshMetrics(sibling: Sibling): Promise<void> {
  return new Promise(resolve => {
    const late = setTimeout(resolve, metricsMs)
    sibling.heard = () => {
      clearTimeout(late)
      resolve()
    }
    sibling.child.send('metrics', error => {
      if (error) sibling.heard?.()
    })
  })
}
