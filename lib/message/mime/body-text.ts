/** The text of a part's body, whatever its transfer encoding, and how to change places of it. */
import { Base64Text } from './base64.ts'
import { IdentityText } from './identity.ts'
import type { Edit } from './edit.ts'
import { QuotedPrintableText } from './quoted-printable.ts'

export interface ChangedBody {
  readonly bytes: Buffer
  /** The part's transfer encoding has become this one. Absent: it is what it was. */
  readonly encoding?: 'quoted-printable'
}

export interface BodyText {
  /** Decoded, one character a byte (Latin-1). */
  readonly text: string
  /** The same as bytes. */
  readonly bytes: Uint8Array
  /**
   * @param edits by place, not overlapping
   * @returns undefined when the body would have to change its encoding and is too large for that
   */
  readonly splice: (edits: readonly Edit[]) => ChangedBody | undefined
}

export type TransferEncoding = 'identity' | 'quoted-printable' | 'base64' | 'unknown'

/**
 * @param value of the Content-Transfer-Encoding field. `7bit`, `8bit` and `binary` change nothing, nor do names that
 * only say something else about a text that is not encoded (`8-bit`, `utf-8`); what looks like an encoding in another
 * spelling (`x-uuencode`, `base64;`, `"quoted-printable"`) is unknown, for readers disagree on it.
 */
export function transferEncoding(value: string | undefined): TransferEncoding {
  const name = (value ?? '').toLowerCase()
  if (name === 'quoted-printable' || name === 'base64') return name
  return /^x-|quoted|base|64|uu|hex|hqx|enc|zip|compress/.test(name) ? 'unknown' : 'identity'
}

/**
 * Undefined when the body is not what its encoding says; then it is better left alone.
 *
 * @param reencodedBytesMax largest body that may change its encoding, in bytes
 */
export function bodyText(
  body: Buffer,
  encoding: TransferEncoding,
  reencodedBytesMax = Number.MAX_SAFE_INTEGER,
): BodyText | undefined {
  switch (encoding) {
    case 'identity':
      return new IdentityText(body, reencodedBytesMax)
    case 'quoted-printable':
      return new QuotedPrintableText(body)
    case 'base64':
      return Base64Text.read(body)
    case 'unknown':
    default:
      return undefined
  }
}
