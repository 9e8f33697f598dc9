/**
 * Starts the children of a pipeline in order, waits until each is up, starts again what dies, and stops them in the
 * opposite order, so that whoever hands events on ends before whoever takes them.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeFolder } from '../process/make-folder.ts'
import { endProcess, identify, type ProcessIdentity } from '../process/process-identity.ts'
import { probe } from './health-probe.ts'
import { lastReason, sizeOf } from './log-tail.ts'
import type { ChildPlan, PipelinePlan } from './plan.ts'
import { childStopMs } from './stop-time.ts'
import { forgetRunningState, type RunningChild, writeRunningState } from './running-state.ts'

/** How long a child may take to be up. */
const upMsDefault = 60_000
/** What works but complains (its Redis or MTA is away) is given this long to become well before the next is started. */
const degradedMsMax = 5_000
const probeEveryMs = 100
const backoffMsMin = 1_000
const backoffMsMax = 30_000
/** Having run this long, a child that dies counts as dying for the first time. */
const steadyMs = 60_000

/** A child did not come up; the message says which, why and where its log is. */
export class ChildFailed extends Error {
  override readonly name = 'ChildFailed'
}

interface Child {
  readonly plan: ChildPlan
  process: ChildProcess | undefined
  startedAtMs: number
  /** Size of its log when it was started. */
  logBytes: number
  /** Answers its health and takes signals. */
  isUp: boolean
  /** Was up once: from then on it is started again whenever it ends. */
  isKept: boolean
  /** Why it ended last. */
  end: string
  backoffMs: number
  again: NodeJS.Timeout | undefined
}

export interface SupervisorOptions {
  readonly plan: PipelinePlan
  /** The checkout; working directory of every child. */
  readonly root: string
  /** Where the identities of supervisor and children are kept. */
  readonly stateFile: string
  /** Takes one line for people whenever something happens. */
  readonly report: (line: string) => void
  /** How long a child may take to be up, in milliseconds. A minute. */
  readonly upMsMax?: number
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #children: readonly Child[]
  readonly #startedAt = Date.now()
  #unrecorded = false
  #stopping = false

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#children = options.plan.children.map(plan => ({
      plan,
      process: undefined,
      startedAtMs: 0,
      logBytes: 0,
      isUp: false,
      isKept: false,
      end: '',
      backoffMs: backoffMsMin,
      again: undefined,
    }))
  }

  /**
   * Starts every child, each when the one before it is up.
   * @throws {ChildFailed} when one ends or is not up within a minute; the others are still running then. A Redis that
   *   loads its data is waited for: gigabytes take minutes.
   */
  async start(): Promise<void> {
    this.#record()
    for (const child of this.#children) {
      if (this.#stopping) return
      this.#launch(child)
      await this.#untilUp(child)
    }
  }

  /** Has every child that listens to it open its log and read its keys anew. */
  reload(): void {
    for (const { plan, process: running, isUp } of this.#children) {
      // Redis opens its log for each line; to a process that is still starting SIGHUP would be the end.
      if (plan.name !== 'redis' && isUp) running?.kill('SIGHUP')
    }
  }

  /** Ends the children, last started first. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const child of this.#children.toReversed()) {
      clearTimeout(child.again)
      const identity = identityOf(child)
      if (identity) await endProcess(identity, childStopMs)
    }
    forgetRunningState(this.#options.stateFile)
  }

  #launch(child: Child): void {
    const { plan } = child
    child.startedAtMs = performance.now()
    let running: ChildProcess
    try {
      makeFolder(dirname(plan.logFile))
      if (plan.name === 'redis') makeFolder(dirname(plan.health), 0o700)
      child.logBytes = sizeOf(plan.logFile)
      // What it says outside its log (a crash, a warning of the runtime) belongs into the same file.
      const output = openSync(plan.logFile, 'a')
      running = spawn(plan.command, plan.args, {
        cwd: this.#options.root,
        env: { ...process.env, ...plan.env },
        stdio: ['ignore', output, output],
        // Its own process group: Ctrl-C in a terminal is for the supervisor, which ends them in order.
        detached: true,
      })
      closeSync(output)
    } catch (error) {
      this.#ended(child, (error as Error).message)
      return
    }
    child.process = running
    running.on('error', error => {
      // Without a pid it never was; there will be no 'exit'.
      if (running.pid === undefined) this.#ended(child, error.message)
    })
    running.once('exit', (code, signal) => {
      const reason = signal === null ? lastReason(plan.logFile, child.logBytes) : undefined
      this.#ended(child, reason ?? signal ?? `exit code ${code}`)
    })
    this.#record()
  }

  #ended(child: Child, why: string): void {
    child.process = undefined
    child.isUp = false
    child.end = why
    this.#record()
    if (this.#stopping || !child.isKept) return
    if (performance.now() - child.startedAtMs > steadyMs) child.backoffMs = backoffMsMin
    const waitMs = child.backoffMs
    child.backoffMs = Math.min(child.backoffMs * 2, backoffMsMax)
    const { name, logFile } = child.plan
    this.#options.report(`${name} ended (${why}); starting it again in ${waitMs / 1000} s; log: ${logFile}`)
    child.again = setTimeout(() => {
      this.#launch(child)
      void this.#untilUpAgain(child)
    }, waitMs)
  }

  /** What is alive and not up is waited for: others need it, and there is nobody to give it up for. */
  async #untilUpAgain(child: Child): Promise<void> {
    while (child.process !== undefined && !this.#stopping) {
      try {
        await this.#untilUp(child)
        if (child.isUp) this.#options.report(`${child.plan.name} is up again`)
        return
      } catch (error) {
        // Of one that has ended `#ended` has told, and starts it again.
        if (child.process !== undefined) this.#options.report((error as Error).message)
      }
    }
  }

  /** Until it is well, or has been up for a while and still complains. */
  async #untilUp(child: Child): Promise<void> {
    const { plan } = child
    const { upMsMax = upMsDefault } = this.#options
    let deadline = performance.now() + upMsMax
    for (;;) {
      if (this.#stopping) return
      if (child.process === undefined) {
        const hint = hintFor(child, this.#options.plan.configFile)
        throw new ChildFailed(`${plan.name} could not be started: ${child.end}; log: ${plan.logFile}${hint}`)
      }
      const { state, trouble } = await probe(plan, child.process.pid)
      if (state === 'ok') break
      if (state === 'degraded' && performance.now() - child.startedAtMs > degradedMsMax) {
        this.#options.report(`${plan.name} is up, but not all is well: ${trouble}`)
        break
      }
      if (performance.now() > deadline) {
        // It comes to an end with that, however long it takes.
        const isLoading = plan.name === 'redis' && state === 'starting'
        if (!isLoading)
          throw new ChildFailed(`${plan.name} is not up after ${upMsMax / 1000} s: ${trouble}; log: ${plan.logFile}`)
        this.#options.report(`${plan.name} is not up yet: it ${trouble}; log: ${plan.logFile}`)
        deadline = performance.now() + upMsMax
      }
      await new Promise(resolve => setTimeout(resolve, probeEveryMs))
    }
    child.isUp = true
    child.isKept = true
  }

  #record(): void {
    const supervisor = identify(process.pid)
    if (supervisor === undefined || this.#stopping) return
    const children = this.#children.map((child): RunningChild => {
      const { name, health, listens } = child.plan
      return { name, health, listens, identity: identityOf(child) }
    })
    const { configFile } = this.#options.plan
    try {
      writeRunningState(this.#options.stateFile, { supervisor, children, configFile, startedAt: this.#startedAt })
      this.#unrecorded = false
    } catch (error) {
      // A full disk: the children matter more than the record of them.
      if (!this.#unrecorded) this.#options.report(`${this.#options.stateFile}: ${(error as Error).message}`)
      this.#unrecorded = true
    }
  }
}

/** Where to give an option that the reason names: a child takes none from the command line of the pipeline. */
function hintFor({ plan, end }: Child, configFile: string): string {
  const option = /--([a-z][a-z-]+)/.exec(end)?.[1]
  return option === undefined ? '' : `\n(--${option} is the setting ${option} of ${plan.name} in ${configFile})`
}

function identityOf({ process: running }: Child): ProcessIdentity | undefined {
  return running?.pid === undefined ? undefined : identify(running.pid)
}
