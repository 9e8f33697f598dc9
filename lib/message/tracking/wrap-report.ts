/** What was done to a message, and what was left alone and why. */
import type { SkipReason } from './link-policy.ts'

/** Why a whole message or part is left as it is. */
export type PartSkipReason =
  /** The message was signed before it came here, and the policy is `pass`. */
  | 'dkim-signed'
  /** multipart/signed, multipart/encrypted, multipart/report, message/*, and PGP within a text. */
  | 'sealed'
  | 'attachment'
  /** Content-Type, Content-Disposition or Content-Transfer-Encoding more than once, with different meanings. */
  | 'header-conflict'
  /** UTF-16, ISO-2022-JP and the like. */
  | 'charset-not-ascii'
  /** A transfer encoding that is unknown, or whose body is not what it should be. */
  | 'encoding'
  /** AMP takes https links only. */
  | 'amp-needs-https'
  | 'body-too-large'
  /** A line would grow past what SMTP carries, and the body is too large to be encoded for that. */
  | 'line-too-long'
  | 'too-many-links'
  /** The URLs of all links together are too long. */
  | 'too-many-url-bytes'
  | 'too-many-parts'
  | 'too-deep'
  | 'header-too-large'
  /** A failure of ours; see `failure`. */
  | 'error'

export interface WrapReport {
  /** Links that now lead to the tracker. */
  readonly links: number
  readonly pixels: number
  /** What was left alone, links and parts, by reason. */
  readonly skipped: Readonly<Partial<Record<SkipReason | PartSkipReason, number>>>
  /** The error that made the rest of the message pass through as it came. */
  readonly failure?: string
}

/** A report in the making. */
export class WrapTally implements WrapReport {
  links = 0
  pixels = 0
  readonly skipped: Partial<Record<SkipReason | PartSkipReason, number>> = {}
  failure?: string
  #urlBytes = 0
  #keptPixels = false

  /** URLs that were looked at, as they are written, in bytes. */
  get urlBytes(): number {
    return this.#urlBytes
  }

  /** Whether a pixel was there already. */
  get keptPixels(): boolean {
    return this.#keptPixels
  }

  keepPixels(): void {
    this.#keptPixels = true
  }

  addUrlBytes(count: number): void {
    this.#urlBytes += count
  }

  skip(reason: SkipReason | PartSkipReason): void {
    this.skipped[reason] = (this.skipped[reason] ?? 0) + 1
  }

  /** Adds what was done to one part. */
  add(part: WrapTally): void {
    this.links += part.links
    this.pixels += part.pixels
    this.#urlBytes += part.#urlBytes
    this.#keptPixels ||= part.#keptPixels
    for (const [reason, count] of Object.entries(part.skipped) as [SkipReason | PartSkipReason, number][]) {
      this.skipped[reason] = (this.skipped[reason] ?? 0) + count
    }
  }
}
