/**
 * Starts the children of a pipeline in order, waits until each is healthy, starts again what dies, and stops them in
 * the opposite order, so that whoever hands events on ends before whoever takes them.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { probe } from './health-probe.ts'
import type { ChildPlan } from './plan.ts'
import { endProcess, forgetRunningState, identify, type ProcessIdentity, writeRunningState } from './running-state.ts'

const healthyMsMax = 60_000
const probeEveryMs = 100
const backoffMsMin = 1_000
const backoffMsMax = 30_000
/** Having run this long, a child that dies counts as dying for the first time. */
const steadyMs = 60_000
const stopMsMax = 12_000

/** A child did not become healthy; the message says which, why and where its log is. */
export class ChildFailed extends Error {
  override readonly name = 'ChildFailed'
}

interface Child {
  readonly plan: ChildPlan
  process: ChildProcess | undefined
  startedAtMs: number
  backoffMs: number
  again: NodeJS.Timeout | undefined
}

export class Supervisor {
  readonly #children: readonly Child[]
  readonly #report: (line: string) => void
  readonly #root: string
  readonly #stateFile: string
  #stopping = false
  #steady = false

  /**
   * @param report takes one line for people whenever something happens
   * @param stateFile where the identities of supervisor and children are kept
   */
  constructor(plans: readonly ChildPlan[], root: string, stateFile: string, report: (line: string) => void) {
    this.#children = plans.map(plan => ({
      plan,
      process: undefined,
      startedAtMs: 0,
      backoffMs: backoffMsMin,
      again: undefined,
    }))
    this.#root = root
    this.#stateFile = stateFile
    this.#report = report
  }

  /**
   * Starts every child, each when the one before it is healthy.
   * @throws {ChildFailed} when one ends or is not healthy within a minute; the others are still running then
   */
  async start(): Promise<void> {
    this.#record()
    for (const child of this.#children) {
      if (this.#stopping) return
      this.#launch(child)
      await this.#untilHealthy(child)
    }
    this.#steady = true
  }

  /** Passes a signal on to every child but Redis, which knows none of ours. */
  forward(signal: NodeJS.Signals): void {
    for (const { plan, process: running } of this.#children) if (plan.name !== 'redis') running?.kill(signal)
  }

  /** Ends the children, last started first. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const child of this.#children.toReversed()) {
      clearTimeout(child.again)
      const identity = child.process?.pid === undefined ? undefined : identify(child.process.pid)
      if (identity) await endProcess(identity, stopMsMax)
    }
    forgetRunningState(this.#stateFile)
  }

  #launch(child: Child): void {
    const { plan } = child
    mkdirSync(dirname(plan.logFile), { recursive: true })
    if (plan.name === 'redis') mkdirSync(dirname(plan.health), { recursive: true, mode: 0o700 })
    // What it says outside its log (a crash, a warning of the runtime) belongs into the same file.
    const output = openSync(plan.logFile, 'a')
    const running = spawn(plan.command, plan.args, {
      cwd: this.#root,
      env: { ...process.env, ...plan.env },
      stdio: ['ignore', output, output],
      // Its own process group: Ctrl-C in a terminal is for the supervisor, which ends them in order.
      detached: true,
    })
    closeSync(output)
    child.process = running
    child.startedAtMs = performance.now()
    running.once('error', error => this.#report(`${plan.name} can't be started: ${error.message}`))
    running.once('exit', (code, signal) => this.#ended(child, running, signal ?? `exit code ${code}`))
    this.#record()
  }

  #ended(child: Child, ended: ChildProcess, how: string): void {
    if (child.process !== ended) return
    child.process = undefined
    this.#record()
    if (this.#stopping || !this.#steady) return
    if (performance.now() - child.startedAtMs > steadyMs) child.backoffMs = backoffMsMin
    const waitMs = child.backoffMs
    child.backoffMs = Math.min(child.backoffMs * 2, backoffMsMax)
    this.#report(
      `${child.plan.name} ended (${how})${lastReason(child.plan.logFile)}; starting it again in ${waitMs / 1000} s; log: ${child.plan.logFile}`,
    )
    child.again = setTimeout(() => {
      this.#launch(child)
      void this.#untilHealthy(child).then(
        () => this.#report(`${child.plan.name} is up again`),
        () => undefined,
      )
    }, waitMs)
  }

  async #untilHealthy(child: Child): Promise<void> {
    const { plan } = child
    const deadline = performance.now() + healthyMsMax
    for (;;) {
      if (this.#stopping) return
      if (child.process === undefined) {
        throw new ChildFailed(`${plan.name} could not be started${lastReason(plan.logFile)}; log: ${plan.logFile}`)
      }
      const trouble = await probe(plan, child.process.pid)
      if (trouble === undefined) return
      if (performance.now() > deadline)
        throw new ChildFailed(`${plan.name} is not healthy after a minute: ${trouble}; log: ${plan.logFile}`)
      await new Promise(resolve => setTimeout(resolve, probeEveryMs))
    }
  }

  #record(): void {
    const supervisor = identify(process.pid)
    if (supervisor === undefined || this.#stopping) return
    const children: Record<string, ProcessIdentity> = {}
    for (const { plan, process: running } of this.#children) {
      const identity = running?.pid === undefined ? undefined : identify(running.pid)
      if (identity) children[plan.name] = identity
    }
    writeRunningState(this.#stateFile, { supervisor, children })
  }
}

const tailBytes = 4_096

/** The reason in the last line of a log, as `: reason`; empty when there is none. */
function lastReason(file: string): string {
  let tail: string
  try {
    const { size } = statSync(file)
    const fd = openSync(file, 'r')
    const bytes = Buffer.alloc(Math.min(size, tailBytes))
    readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    closeSync(fd)
    tail = bytes.toString('utf8')
  } catch {
    return ''
  }
  const last = tail.trimEnd().split('\n').at(-1) ?? ''
  try {
    const line = JSON.parse(last) as { reason?: string; msg?: string; err?: { message?: string } }
    const reason = line.reason ?? line.err?.message ?? line.msg
    return reason === undefined ? '' : `: ${reason}`
  } catch {
    return last === '' ? '' : `: ${last.slice(0, 300)}`
  }
}
