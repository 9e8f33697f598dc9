/** What the feeder wants of a destination beyond the uploader: the form of a single event. */
import type { MessageRecord } from '../../record/record.ts'
import type { TrackingEvent } from '../event.ts'
import type { Destination } from './destination.ts'
import type { Transport } from './transport.ts'

/** An event on its way out. */
export interface OutgoingEvent {
  /** Its wire form, JSON without line end, in UTF-8 of `bytes` bytes. */
  readonly line: string
  readonly bytes: number
  /** When it happened, Unix ms. */
  readonly at: number
  readonly id: string
}

/** What the service says later of a batch that it took over. */
export type BatchStatus =
  | { readonly state: 'unknown' }
  | { readonly state: 'accepted' }
  /** Send it again. */
  | { readonly state: 'retryable'; readonly reason: string }
  /** `ids` are the events that failed; undefined when the service doesn't say which, or when all did. */
  | { readonly state: 'failed'; readonly reason: string; readonly ids?: ReadonlySet<string> }

export interface EventDestination extends Destination<OutgoingEvent> {
  /** @throws Error when the event has no form there */
  readonly line: (event: TrackingEvent, record: MessageRecord | undefined) => string
  /** Age at which the service drops an event; undefined when it does not care. */
  readonly eventAgeMsMax: number | undefined
  /**
   * Asks what became of a batch; unknown when `abandon` is aborted before there is an answer. Absent when the service
   * has no such question. Never throws.
   */
  readonly batchStatus?: (batchId: string, transport: Transport, abandon: AbortSignal) => Promise<BatchStatus>
}
