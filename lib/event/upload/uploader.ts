/**
 * Brings batches to a destination, whatever it answers: retries, halves, finds the one event that is refused among
 * thousands, and gives back what became of every single item.
 *
 * Invariant: each item handed to `upload` comes back exactly once, as accepted, refused or unsent.
 */
import { Counter, type Registry } from '../../process/prometheus.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { presentable, type HttpAnswer, type Verdict } from './answer.ts'
import type { Destination, EncodedBatch } from './destination.ts'
import { IngestService } from './ingest-service.ts'
import type { Transport } from './transport.ts'
import { systemClock, type Clock } from './upload-gate.ts'

export interface Refused<Item> {
  readonly item: Item
  readonly reason: string
}

/** What became of the items of an upload. */
export interface UploadOutcome<Item> {
  readonly accepted: readonly Item[]
  /** Never to be sent again as they are: for the dead letters. */
  readonly refused: readonly Refused<Item>[]
  /** Still to be sent: the uploader was stopped before. */
  readonly unsent: readonly Item[]
  /** The service's names for what it accepted. */
  readonly batches: readonly { readonly id: string; readonly items: readonly Item[] }[]
}

export interface UploaderOptions<Item> {
  readonly destination: Destination<Item>
  readonly transport: Transport
  readonly log: Logger
  readonly health: Health
  readonly metrics: Registry
  /** Prefix of the metrics' names, the process: `feeder`. */
  readonly prefix: string
  /** Says why an item is not worth another try, as when the service would drop it for its age. Asked before each try. */
  readonly giveUp?: (item: Item, nowMs: number) => string | undefined
  readonly clock?: Clock
  readonly random?: () => number
}

/** Failures of one batch, while others pass, after which the cause is looked for in the batch itself. */
const failuresMax = 10
/** The same for a part of such a batch. */
const partFailuresMax = 3

interface Piece<Item> {
  items: readonly Item[]
  encoded?: EncodedBatch
  failures: number
  /** How many requests had been accepted when this piece (or the one it was cut from) failed first. */
  acceptedBefore: number | undefined
}

interface Progress<Item> {
  readonly accepted: Item[]
  readonly refused: Refused<Item>[]
  readonly unsent: Item[]
  readonly batches: { id: string; items: readonly Item[] }[]
}

export class Uploader<Item> {
  readonly #options: UploaderOptions<Item>
  readonly #clock: Clock
  readonly #service: IngestService
  /** No second tries. */
  #stopping = false
  readonly #bytes: Counter<'form'>

  constructor(options: UploaderOptions<Item>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#service = new IngestService({ ...options, clock: this.#clock })
    const { metrics, prefix } = options
    this.#bytes = new Counter({
      name: `${prefix}_request_bytes_total`,
      help: 'Bytes of accepted uploads, before compression (raw) and as sent (sent).',
      labelNames: ['form'],
      registers: [metrics],
    })
  }

  /**
   * Uploads a batch and settles when the fate of each item is known, which takes as long as the service is away. May be
   * called again meanwhile; two or more under way keep a batch that the service can't digest from holding up the rest.
   * Never rejects.
   */
  async upload(items: readonly Item[]): Promise<UploadOutcome<Item>> {
    const progress: Progress<Item> = { accepted: [], refused: [], unsent: [], batches: [] }
    if (items.length > 0) await this.#send({ items, failures: 0, acceptedBefore: undefined }, false, progress)
    return progress
  }

  /** Reads the credentials anew and tries at once, as after SIGHUP. */
  reload(): Promise<void> {
    return this.#service.reload()
  }

  /**
   * Ends all waiting: what is on the wire has `graceMs` left, everything else comes back unsent. Uploads begun later
   * get one try.
   */
  stop(graceMs: number): void {
    this.#stopping = true
    this.#service.stop(graceMs)
  }

  /**
   * @param guilty whether something in it is known to be refused, so that it need not be tried whole
   * @returns whether every item was accepted
   */
  async #send(piece: Piece<Item>, guilty: boolean, progress: Progress<Item>): Promise<boolean> {
    const split = guilty && piece.items.length > 1
    const verdict: Verdict = split ? { action: 'bisect', reason: '' } : await this.#settle(piece, progress)
    const { items } = piece
    if (verdict.action === 'accept') return true
    if (verdict.action === 'retry' || verdict.action === 'keep') {
      progress.unsent.push(...items)
      return false
    }
    const [only] = items
    if (only !== undefined && items.length === 1) {
      progress.refused.push({ item: only, reason: verdict.reason })
      this.#service.refusedOne()
      return false
    }
    const middle = items.length >> 1
    const half = (part: readonly Item[]): Piece<Item> => ({
      items: part,
      failures: Math.max(0, piece.failures - partFailuresMax),
      acceptedBefore: piece.acceptedBefore,
    })
    delete piece.encoded
    const clean = await this.#send(half(items.slice(0, middle)), false, progress)
    // What was refused as a whole and is not to blame in its first half is to blame in its second.
    const secondGuilty = verdict.action === 'bisect' && piece.failures === 0 && clean
    await this.#send(half(items.slice(middle)), secondGuilty, progress)
    return false
  }

  /** Tries a piece until it is accepted, is to be cut, or the uploader stops. */
  async #settle(piece: Piece<Item>, progress: Progress<Item>): Promise<Verdict> {
    for (;;) {
      this.#dropGivenUp(piece, progress)
      if (piece.items.length === 0) return { action: 'accept' }
      const lone = this.#loneProbe(piece)
      const items = lone === undefined ? piece.items : [lone]
      let encoded: EncodedBatch
      try {
        encoded =
          lone === undefined
            ? (piece.encoded ??= await this.#options.destination.encode(items))
            : await this.#options.destination.encode(items)
      } catch (error) {
        return { action: 'bisect', reason: `can't be encoded: ${presentable((error as Error).message)}` }
      }
      const { verdict, answer } = await this.#service.post(encoded)
      if (verdict.action === 'accept' && answer) this.#accept(items, encoded, answer, progress)
      if (lone !== undefined && verdict.action === 'accept') {
        piece.items = piece.items.filter(item => item !== lone)
        delete piece.encoded
        // The service works: the rest gets one more chance as a whole.
        piece.failures = failuresMax - 1
        if (piece.items.length === 0) return verdict
        continue
      }
      if (verdict.action === 'retry') {
        // Being asked for patience says nothing about the batch.
        if (verdict.cause === 'fault') piece.failures += 1
        piece.acceptedBefore ??= this.#service.acceptedRequests
        if (this.#stopping) return verdict
        if (
          lone === undefined &&
          piece.failures >= failuresMax &&
          this.#service.acceptedRequests > piece.acceptedBefore
        ) {
          const reason = `${verdict.reason}, ${piece.failures} times while others pass`
          return { action: 'bisect', reason }
        }
        continue
      }
      if (verdict.action === 'keep') {
        if (this.#stopping) return verdict
        continue
      }
      if (lone === undefined || verdict.action === 'accept') return verdict
      // A single item that is refused with good reason while the batch as a whole was never answered.
      return { action: 'bisect', reason: verdict.reason }
    }
  }

  /**
   * After ten failures without knowing whether anything passes, one item alone tells an outage from a batch that the
   * service can't digest, another one each time.
   */
  #loneProbe({ items, failures, acceptedBefore }: Piece<Item>): Item | undefined {
    if (items.length === 1 || failures < failuresMax) return undefined
    return this.#service.acceptedRequests > (acceptedBefore ?? 0) ? undefined : items[failures % items.length]
  }

  #dropGivenUp(piece: Piece<Item>, progress: Progress<Item>): void {
    const { giveUp } = this.#options
    if (!giveUp) return
    const now = this.#clock.now()
    const kept = piece.items.filter(item => {
      const reason = giveUp(item, now)
      if (reason !== undefined) progress.refused.push({ item, reason })
      return reason === undefined
    })
    if (kept.length === piece.items.length) return
    piece.items = kept
    delete piece.encoded
  }

  #accept(items: readonly Item[], encoded: EncodedBatch, answer: HttpAnswer, progress: Progress<Item>): void {
    const { batchId, refused = [] } = this.#options.destination.readAnswer(answer)
    const reasons = new Map(refused.map(({ index, reason }) => [index, reason]))
    const accepted = items.filter((_, index) => !reasons.has(index))
    for (const [index, item] of items.entries()) {
      const reason = reasons.get(index)
      if (reason !== undefined) progress.refused.push({ item, reason })
    }
    progress.accepted.push(...accepted)
    if (batchId !== undefined) progress.batches.push({ id: batchId, items: accepted })
    this.#bytes.inc({ form: 'raw' }, encoded.rawBytes)
    this.#bytes.inc({ form: 'sent' }, encoded.body.length)
  }
}
