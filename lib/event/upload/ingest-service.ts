/**
 * The service behind a destination, as the answers show it: whether it takes uploads at the moment, how long to wait
 * before the next try, what health says of it.
 */
import { Counter, Histogram, type Registry } from '../../process/prometheus.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { answerReason, classifyAnswer, type HttpAnswer, type Verdict } from './answer.ts'
import type { Destination, EncodedBatch } from './destination.ts'
import { keepDelayMs, retryDelayMs } from './retry-schedule.ts'
import type { Transport } from './transport.ts'
import { UploadGate, type Clock } from './upload-gate.ts'

export interface IngestServiceOptions {
  readonly destination: Pick<Destination<never>, 'name' | 'url' | 'credentials' | 'reloadCredentials' | 'isRefusal'>
  readonly transport: Transport
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Beginning of the metrics' names: the process. */
  readonly prefix: string
  readonly clock: Clock
  readonly random?: () => number
}

export interface PostOutcome {
  readonly verdict: Verdict
  /** Undefined when none came. */
  readonly answer?: HttpAnswer
}

/**
 * Refusals (400, 422) in a row, nothing accepted in between, after which they are taken for a fault of the service or
 * of the configuration instead of the events: everything is kept from then on.
 */
export const refusalsInRowMax = 1_000
/** Failures in a row after which health says so. */
const troubleAfter = 3

export class IngestService {
  readonly #options: IngestServiceOptions
  readonly #gate: UploadGate
  readonly #abandon = new AbortController()
  #isStopping = false
  /** In a row. */
  #failures = 0
  #refusalsInRow = 0
  #acceptedRequests = 0
  #credentialsRefused = false
  readonly #requests: Counter<'answer'>
  readonly #seconds: Histogram

  constructor(options: IngestServiceOptions) {
    this.#options = options
    this.#gate = new UploadGate(options.clock)
    const { metrics, prefix } = options
    this.#requests = new Counter({
      name: `${prefix}_requests_total`,
      help: 'Upload requests by what came of them: an HTTP status, or "none" when there was no answer.',
      labelNames: ['answer'],
      registers: [metrics],
    })
    this.#seconds = new Histogram({
      name: `${prefix}_request_seconds`,
      help: 'Time from the first byte of an upload request to its answer.',
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers: [metrics],
    })
  }

  /** Requests that it has accepted so far. */
  get acceptedRequests(): number {
    return this.#acceptedRequests
  }

  /** Posts a batch, as soon as the service may be asked; one try. Never rejects. */
  post(batch: EncodedBatch): Promise<PostOutcome> {
    return this.#gate.pass(alone => this.#attempt(batch, alone))
  }

  /** States that a single item was refused for good. */
  refusedOne(): void {
    this.#refusalsInRow += 1
  }

  /** Reads the credentials anew and lets everybody try at once. */
  async reload(): Promise<void> {
    await this.#options.destination.reloadCredentials()
    this.#gate.open()
  }

  /** Ends all waiting; what is on the wire has `graceMs` left. */
  stop(graceMs: number): void {
    this.#isStopping = true
    this.#gate.open()
    setTimeout(() => this.#abandon.abort(), graceMs).unref()
  }

  async #attempt({ body, headers }: EncodedBatch, alone: boolean): Promise<PostOutcome> {
    const { destination, transport, clock, log } = this.#options
    if (this.#credentialsRefused) await destination.reloadCredentials().catch(() => false)
    const credentials = destination.credentials(body, clock.now())
    const timed = this.#seconds.startTimer()
    let answer: HttpAnswer
    try {
      answer = await transport.send(
        { method: 'POST', url: destination.url, headers: { ...headers, ...credentials }, body },
        this.#abandon.signal,
      )
    } catch (error) {
      this.#requests.inc({ answer: 'none' })
      return { verdict: this.#judge({ action: 'retry', cause: 'fault', reason: (error as Error).message }, alone) }
    } finally {
      timed()
    }
    this.#requests.inc({ answer: String(answer.status) })
    const verdict = this.#classify(answer)
    if (verdict.action === 'keep' && (await destination.reloadCredentials().catch(() => false))) {
      log.info(
        { destination: destination.name, reason: verdict.reason },
        'refused, trying with the key that was read anew',
      )
      this.#gate.open()
      return { verdict: { action: 'retry', cause: 'busy', reason: verdict.reason }, answer }
    }
    if (verdict.action === 'accept') {
      this.#acceptedRequests += 1
      this.#refusalsInRow = 0
    }
    return { verdict: this.#judge(verdict, alone), answer }
  }

  #classify(answer: HttpAnswer): Verdict {
    const { destination, clock } = this.#options
    const verdict = classifyAnswer(answer, clock.now())
    if (verdict.action !== 'accept' || destination.isRefusal?.(answer) !== true) return verdict
    return { action: 'retry', cause: 'fault', reason: answerReason(answer) }
  }

  /** Opens or closes the gate and tells health, by what an attempt showed of the service. */
  #judge(verdict: Verdict, alone: boolean): Verdict {
    const { destination, health, log } = this.#options
    // A path may be a secret in itself, as that of a webhook.
    const { origin } = new URL(destination.url)
    if (verdict.action === 'bisect' && this.#refusalsInRow >= refusalsInRowMax) {
      const reason = `${verdict.reason} to ${this.#refusalsInRow} events in a row`
      return this.#judge({ action: 'keep', reason }, alone)
    }
    if (verdict.action !== 'retry' && verdict.action !== 'keep') {
      if (this.#failures > 0) log.info({ destination: destination.name }, 'uploads pass again')
      this.#failures = 0
      this.#credentialsRefused = false
      this.#gate.open()
      health.set('upload', undefined)
      return verdict
    }
    // Several requests under way when the service went are one failure.
    if (this.#gate.closed && !alone) return verdict
    this.#failures += 1
    this.#credentialsRefused = verdict.action === 'keep'
    const waitMs =
      verdict.action === 'keep'
        ? keepDelayMs
        : Math.max(verdict.afterMs ?? retryDelayMs(this.#failures, this.#options.random?.()), 500)
    if (!this.#isStopping) this.#gate.close(waitMs)
    log.warn(
      { destination: destination.name, reason: verdict.reason, waitMs, failures: this.#failures },
      'upload failed, kept',
    )
    if (verdict.action === 'keep') {
      health.set(
        'upload',
        `${origin} refuses uploads (${verdict.reason}): check key and endpoint; nothing is lost meanwhile`,
      )
    } else if (this.#failures >= troubleAfter) {
      health.set('upload', `${origin} does not take uploads (${verdict.reason}): retrying; nothing is lost meanwhile`)
    }
    return verdict
  }
}
