/**
 * Says of each link of a message whether the wrapper wraps it, and why not.
 *
 * The message goes through the wrapper's own code; a link counts as wrapped when it leads elsewhere afterwards. Why one
 * does not is what the wrapper's policy says of the link, or of the part or message that it stands in.
 */
import { scanHtml, type LinkTag } from '../message/html/scan-html.ts'
import { decodeAttributeValue } from '../message/html/attribute-value.ts'
import { bodyText, transferEncoding } from '../message/mime/body-text.ts'
import { parseContentType } from '../message/mime/content-type.ts'
import { decodeText, isAsciiCompatible } from '../message/mime/charset.ts'
import { HeaderBlock } from '../message/mime/header-block.ts'
import {
  judgeLink,
  judgeUrl,
  linkAttributes,
  urlHost,
  type LinkContext,
  type SkipReason,
} from '../message/tracking/link-policy.ts'
import { applyOptOutHeaders } from '../message/tracking/opt-out-headers.ts'
import { textLinks } from '../message/tracking/text-links.ts'
import type { LinkRequest } from '../message/tracking/tracking-plan.ts'
import type { TrackingSettings } from '../message/tracking/tracking-settings.ts'
import type { PartSkipReason, WrapReport } from '../message/tracking/wrap-report.ts'
import { type MessagePart, messageParts } from './message-parts.ts'
import { SeenText } from './seen-text.ts'
import { wrapMessage } from './wrapping.ts'

/** Why a link stays as it is. */
export type Reason =
  | SkipReason
  | PartSkipReason
  /** In a comment, such as a conditional one for Outlook. */
  | 'comment'
  /** The options say so. */
  | 'switched-off'
  /** A header of the message says so. */
  | 'opt-out-header'
  /** A multipart that can't be taken apart. */
  | 'boundary'
  | 'unknown'

export interface ExplainedLink {
  /** `2.1` is the first part of the second one; the message itself is `0`. */
  readonly part: string
  /** Media type of the part. */
  readonly type: string
  /** `a`, `area`, or `text`. */
  readonly element: string
  /** What a reader sees of it; `[image: …]` for an image. */
  readonly text: string
  /** Where it leads, character references decoded. */
  readonly url: string
  readonly wrapped: boolean
  /** What a click will be recorded as, when it is wrapped. */
  readonly action?: string
  readonly linkName?: string
  readonly reason?: Reason
}

export interface ExplainedMessage {
  readonly links: readonly ExplainedLink[]
  readonly report: WrapReport
}

/** Stands for the tracker when no tracking URL is given. */
const anyTracker = 'https://tracker.invalid'

/** @param message with CRLF line ends */
export function explainMessage(message: Buffer, given: TrackingSettings): ExplainedMessage {
  const settings = { ...given, trackingUrl: given.trackingUrl ?? anyTracker }
  const requests: LinkRequest[] = []
  // The place of its request in the list tells a wrapped link from all others.
  const marker = `${settings.trackingUrl}/explained-`
  const { pieces, report } = wrapMessage(message, settings, (_, link) => `${marker}${requests.push(link) - 1}`)
  const requestOf = (url: string | undefined) =>
    url?.startsWith(marker) ? requests[Number(url.slice(marker.length))] : undefined
  const after = new Map(messageParts(Buffer.concat(pieces)).map(part => [part.path, part]))
  const parts = messageParts(message)
  const top = new HeaderBlock(message.subarray(0, Math.max(0, message.indexOf('\r\n\r\n') + 2)))
  const links = parts.flatMap(part => {
    const kind = kinds.get(part.type)
    if (kind === undefined) return []
    const explained: PartToExplain = {
      part,
      rewritten: after.get(part.path) ?? part,
      context: { trackingHost: urlHost(settings.trackingUrl), charset: part.charset, amp: kind === 'amp' },
      blocked: blockedBy(part, top, settings, kind),
      requestOf,
    }
    return kind === 'text' ? plainLinks(explained) : htmlLinks(explained)
  })
  return { links, report }
}

type PartKind = 'html' | 'amp' | 'text'

/** Parts in which links are looked for, by media type. */
const kinds: ReadonlyMap<string, PartKind> = new Map([
  ['text/html', 'html'],
  ['text/x-amp-html', 'amp'],
  ['text/plain', 'text'],
])

interface PartToExplain {
  readonly part: MessagePart
  /** The same part after the message went through the wrapper. */
  readonly rewritten: MessagePart
  readonly context: LinkContext
  /** Why no link of it is wrapped at all. */
  readonly blocked: Reason | undefined
  /** What a link of the rewritten part stands for, when the wrapper made it. */
  readonly requestOf: (url: string | undefined) => LinkRequest | undefined
}

/** Why no link of a part is wrapped at all, in the order in which the wrapper asks. */
function blockedBy(
  part: MessagePart,
  top: HeaderBlock,
  settings: TrackingSettings,
  kind: PartKind,
): Reason | undefined {
  const isOn = kind === 'text' ? settings.trackText : settings.trackClick
  if (!isOn) return 'switched-off'
  const { switches } = applyOptOutHeaders(top, settings)
  if (!(kind === 'text' ? switches.trackText : switches.trackClick)) return 'opt-out-header'
  if (settings.dkimSigned === 'pass' && top.has('dkim-signature')) return 'dkim-signed'
  if (part.within) return part.within
  if (kind === 'amp' && !/^https:/i.test(settings.trackingUrl ?? '')) return 'amp-needs-https'
  const text = textOf(part)
  if (text === undefined) return 'encoding'
  if (!isAsciiCompatible(part.charset, text)) return 'charset-not-ascii'
  return text.includes('-----BEGIN PGP ') ? 'sealed' : undefined
}

/** Decoded body, one character a byte. */
function textOf(part: MessagePart): string | undefined {
  return bodyText(part.body, transferEncoding(part.header.get('content-transfer-encoding')))?.text
}

function htmlLinks({ part, rewritten, context, blocked, requestOf }: PartToExplain): ExplainedLink[] {
  const html = textOf(part)
  if (html === undefined) return []
  const after = scanHtml(textOf(rewritten) ?? '').links
  const seen = new SeenText(decoded(html, part.charset))
  const links = scanHtml(html, undefined, undefined, linkAttributes).links.flatMap((tag, index): ExplainedLink[] => {
    const href = hrefOf(tag)
    if (href === undefined) return []
    const request = requestOf(hrefOf(after[index]))
    const verdict = judgeLink(tag, context)
    const element = { ...placeOf(part), element: tag.name, text: seen.textOf(index) }
    if (request) return [{ ...element, ...wrappedAs(request) }]
    const reason = blocked ?? (verdict.wrap ? 'unknown' : verdict.reason)
    return [{ ...element, url: decodeAttributeValue(decoded(href, part.charset)), wrapped: false, reason }]
  })
  const inComments = seen.commentLinks.map(link => ({
    ...placeOf(part),
    element: 'a',
    ...link,
    wrapped: false,
    reason: blocked ?? ('comment' as const),
  }))
  return [...links, ...inComments]
}

function placeOf(part: MessagePart): Pick<ExplainedLink, 'part' | 'type'> {
  return { part: part.path, type: part.type }
}

function wrappedAs({ action, url = '', linkName }: LinkRequest): Pick<ExplainedLink, 'url' | 'wrapped' | 'action'> {
  return { url, wrapped: true, action, ...(linkName !== undefined && { linkName }) }
}

function hrefOf(tag: LinkTag | undefined): string | undefined {
  return tag?.attributes.find(attribute => attribute.name === 'href')?.value
}

function plainLinks({ part, rewritten, context, blocked, requestOf }: PartToExplain): ExplainedLink[] {
  const text = textOf(part)
  if (text === undefined) return []
  const rewrittenText = textOf(rewritten) ?? ''
  const after = textLinks(rewrittenText).map(({ start, end }) => rewrittenText.slice(start, end))
  return textLinks(text, parseContentType(part.header.get('content-type')).delSp).map(
    ({ start, end, clear, optOut }, index): ExplainedLink => {
      const written = text.slice(start, end)
      const request = requestOf(after[index])
      const place = { ...placeOf(part), element: 'text', text: '' }
      if (request) return { ...place, ...wrappedAs(request) }
      const verdict = judgeUrl(written.replaceAll('&', '&amp;'), context)
      const own = optOut ? 'opt-out' : !verdict.wrap ? verdict.reason : clear ? 'unknown' : 'unclear-end'
      return { ...place, url: decoded(written, part.charset), wrapped: false, reason: blocked ?? own }
    },
  )
}

function decoded(bytes: string, charset: string | undefined): string {
  return decodeText(bytes, charset) ?? bytes
}
