/**
 * Where events go. A destination says how a batch looks on the wire and how its answers read; when to send, to retry,
 * to split and to give up is the uploader's.
 */
import type { HttpAnswer } from './answer.ts'

export interface EncodedBatch {
  readonly body: Uint8Array
  /** Headers that describe the body. */
  readonly headers: Readonly<Record<string, string>>
  /** Size before compression. */
  readonly rawBytes: number
}

/** What a 2xx answer says beyond "taken over". */
export interface AnswerReading {
  /** By which the service can be asked later what became of the batch. */
  readonly batchId?: string
  /** Items that were refused, by their place in the batch; all others are taken over. */
  readonly refused?: readonly { readonly index: number; readonly reason: string }[]
}

export interface Destination<Item> {
  /** For logs and metrics. */
  readonly name: string
  /** Where batches are posted. Of it only the origin is shown. */
  readonly url: string
  /** The bytes of a batch. Called once for a batch, however often it is tried. */
  readonly encode: (items: readonly Item[]) => Promise<EncodedBatch>
  /** Headers that prove who sends, made anew for each try. */
  readonly credentials: (body: Uint8Array, nowMs: number) => Readonly<Record<string, string>>
  /** Reads the key anew, after it was refused; whether it changed. Keeps the old one when that fails. */
  readonly reloadCredentials: () => Promise<boolean>
  /** Whether a 2xx answer says after all that nothing was taken over. Absent: none does. Never throws. */
  readonly isRefusal?: (answer: HttpAnswer) => boolean
  /** Reads the answer to an accepted batch; never throws. */
  readonly readAnswer: (answer: HttpAnswer) => AnswerReading
}
