/** Adds tracking to the body of one text part. */
import { bodyText, transferEncoding, type ChangedBody } from '../mime/body-text.ts'
import { isAsciiCompatible } from '../mime/charset.ts'
import type { HeaderBlock } from '../mime/header-block.ts'
import { lineBytesMax } from '../mime/identity.ts'
import { htmlEdits, plainTextEdits } from './part-edits.ts'
import type { LinkRequest, TrackingSwitches } from './tracking-plan.ts'
import { type PartSkipReason, WrapTally } from './wrap-report.ts'

export interface TextPart {
  readonly kind: 'html' | 'amp' | 'text'
  /** Lower case; undefined when the part names none. */
  readonly charset: string | undefined
  /** A space before a line end joins the two lines: see `ContentType`. */
  readonly delSp: boolean
  readonly header: HeaderBlock
  readonly body: Buffer
  /** The message ends with it. */
  readonly endsMessage: boolean
}

export interface PartPlan {
  readonly switches: TrackingSwitches
  readonly linkFor: (link: LinkRequest) => string
  /** Scheme and host of the tracker. */
  readonly trackingUrl: string
  readonly trackingHost: string | undefined
  /** No HTML part before it has the message's pixels. */
  readonly withPixels: boolean
  /** See `PartTracking`. */
  readonly trapUrl: string | undefined
  /** Largest body that may change its encoding. */
  readonly reencodedBytesMax: number
  /** Links that the message may still hold. */
  readonly linksMax: number
  /** Bytes of URLs that the message may still hold. */
  readonly urlBytesMax: number
}

/**
 * @param tally what was done is added to it, also when nothing changes
 * @returns undefined when the body stays as it is
 * @throws whatever `linkFor` throws; the tally is then of no use
 */
export function wrapPart(part: TextPart, plan: PartPlan, tally: WrapTally): ChangedBody | undefined {
  const skip = (reason: PartSkipReason): undefined => {
    tally.skip(reason)
    return undefined
  }
  if (part.body.length === 0) return undefined
  const isAmp = part.kind === 'amp'
  if (isAmp && !/^https:/i.test(plan.trackingUrl)) return skip('amp-needs-https')
  const encoding = transferEncoding(part.header.get('content-transfer-encoding'))
  const body = bodyText(part.body, encoding, plan.reencodedBytesMax)
  if (!body) return skip('encoding')
  if (!isAsciiCompatible(part.charset, body.text)) return skip('charset-not-ascii')
  const tracking = {
    context: { trackingHost: plan.trackingHost, charset: part.charset, amp: isAmp },
    delSp: part.delSp,
    switches: plan.switches,
    linkFor: plan.linkFor,
    trapUrl: plan.trapUrl,
    withPixels: isAmp || (part.kind === 'html' && plan.withPixels),
    linksMax: plan.linksMax,
    urlBytesMax: plan.urlBytesMax,
    lineCharsMax: encoding === 'identity' ? lineBytesMax : Number.MAX_SAFE_INTEGER,
    endsMessage: part.endsMessage && encoding !== 'base64',
  }
  const done = new WrapTally()
  const edits =
    part.kind === 'text' ? plainTextEdits(body.text, tracking, done) : htmlEdits(body.text, body.bytes, tracking, done)
  if (typeof edits === 'string') return skip(edits)
  const changed = edits.length === 0 ? undefined : body.splice(edits)
  if (edits.length > 0 && !changed) {
    tally.addUrlBytes(done.urlBytes)
    return skip('line-too-long')
  }
  tally.add(done)
  return changed
}
