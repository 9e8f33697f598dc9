/** Finds out what became of batches that the service has taken over: most of its judgement comes after its answer. */
import type { Logger } from '../../process/log.ts'
import type { BatchStatus, EventDestination, OutgoingEvent } from './event-destination.ts'
import type { Transport } from './transport.ts'
import type { Clock } from './upload-gate.ts'
import type { Refused, UploadOutcome } from './uploader.ts'

/** How long a batch may stay of unknown fate. */
const verifyMsMax = 10 * 60_000
const firstWaitMs = 500
const waitMsMax = 10_000

export interface VerifierOptions {
  readonly destination: EventDestination
  readonly transport: Transport
  readonly log: Logger
  readonly clock: Clock
  /** Asks at once, and often from then on. */
  readonly stopping: AbortSignal
  /** Some time later: gives up; batches of which nothing is known come back as lost. */
  readonly abandon: AbortSignal
}

export interface Verified<Item> {
  readonly accepted: readonly Item[]
  /** To be sent again. */
  readonly lost: readonly Item[]
  readonly failed: readonly Refused<Item>[]
}

/** Waits for the service's word on every batch of an upload. Batches without an id count as accepted. Never rejects. */
export async function verifyBatches<Item extends OutgoingEvent>(
  outcome: UploadOutcome<Item>,
  options: VerifierOptions,
): Promise<Verified<Item>> {
  const named = new Set(outcome.batches.flatMap(({ items }) => items))
  const accepted = outcome.accepted.filter(item => !named.has(item))
  const lost: Item[] = []
  const failed: Refused<Item>[] = []
  for (const { id, items } of outcome.batches) {
    const status = await statusOf(id, options)
    switch (status.state) {
      case 'retryable':
        options.log.warn({ batch: id, reason: status.reason }, 'a batch that was taken over is to be sent again')
        lost.push(...items)
        break
      case 'failed': {
        const { ids, reason } = status
        for (const item of items) {
          if (ids === undefined || ids.has(item.id)) failed.push({ item, reason })
          else accepted.push(item)
        }
        break
      }
      default:
        accepted.push(...items)
    }
  }
  return { accepted, lost, failed }
}

async function statusOf(id: string, options: VerifierOptions): Promise<BatchStatus> {
  const { destination, transport, log, clock, stopping, abandon } = options
  const deadline = clock.elapsed() + verifyMsMax
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(waitMsMax, 2 * waitMs)) {
    const wasStopping = stopping.aborted
    await clock.wait(waitMs, wasStopping ? abandon : stopping)
    if (stopping.aborted && !wasStopping) waitMs = firstWaitMs / 2
    const status = (await destination.batchStatus?.(id, transport, abandon)) ?? { state: 'accepted' }
    if (status.state !== 'unknown') return status
    // What stays in the queue is sent again by the next process, with the same ids.
    if (abandon.aborted) return { state: 'retryable', reason: 'stopped before the service said what became of it' }
    if (clock.elapsed() >= deadline) {
      log.warn({ batch: id }, 'the service does not say what became of the batch, taken as accepted')
      return status
    }
  }
}
