/** What changes in the decoded text of a part. */
import { trapLinkName } from '../../link/link.ts'
import { afterPreheader } from '../html/preheader.ts'
import { scanHtml, type HtmlAttribute, type HtmlScan, type LinkTag } from '../html/scan-html.ts'
import type { Edit } from '../mime/edit.ts'
import { judgeLink, judgeUrl, linkAttributes, type LinkContext } from './link-policy.ts'
import { ownPixels } from './own-pixels.ts'
import { ampPixel, htmlPixel } from './pixel.ts'
import { isTrapLink, trapAttributes, trapLink } from './trap-link.ts'
import { textLinks } from './text-links.ts'
import type { LinkRequest, TrackingSwitches } from './tracking-plan.ts'
import type { WrapTally } from './wrap-report.ts'

export interface PartTracking {
  readonly context: LinkContext
  /** A text whose lines may be joined: see `ContentType`. */
  readonly delSp: boolean
  readonly switches: TrackingSwitches
  readonly linkFor: (link: LinkRequest) => string
  /** Whether this part carries the message's pixels. */
  readonly withPixels: boolean
  /** Where a link leads that only machines follow; undefined where none is wanted. */
  readonly trapUrl: string | undefined
  /** Links that the message may still hold. */
  readonly linksMax: number
  /** Bytes of URLs that the message may still hold. */
  readonly urlBytesMax: number
  /** Lines of the part are lines of the message: a pixel is not put on a line that it would make too long. */
  readonly lineCharsMax: number
  /** The text ends where the message ends. */
  readonly endsMessage: boolean
}

const linkAndTrapAttributes = linkAttributes.with(trapAttributes)
const harmless = /^https?:\/\/[\w.~:/?#@!$*+,;=%()[\]-]+$/
const openPgp = '-----BEGIN PGP '
/** The search for it begins with a character that is rarer than a dash. */
const openPgpSign = 'BEGIN PGP '

/** Why a text is left alone. */
type TextSkipReason = 'sealed' | 'too-many-links' | 'too-many-url-bytes'

/** The edits by place, or why the part is left alone. */
export function htmlEdits(
  html: string,
  bytes: Uint8Array,
  tracking: PartTracking,
  tally: WrapTally,
): Edit[] | TextSkipReason {
  if (holdsOpenPgp(html)) return 'sealed'
  const { switches, trapUrl } = tracking
  const names = trapUrl === undefined ? linkAttributes : linkAndTrapAttributes
  const scan = scanHtml(html, switches.trackClick ? tracking.linksMax : 0, bytes, names)
  if (switches.trackClick && scan.tooManyLinks) return 'too-many-links'
  const links = switches.trackClick ? scan.links : []
  let urlBytes = 0
  for (const tag of links) urlBytes += urlLength(hrefOf(tag)?.value ?? '')
  if (urlBytes > tracking.urlBytesMax) return 'too-many-url-bytes'
  tally.addUrlBytes(urlBytes)
  const edits: Edit[] = []
  const hasTrap = wrapLinks(links, tracking, edits, tally)
  if (tracking.withPixels) addPixels(html, bytes, scan, hasTrap, tracking, edits, tally)
  return edits
}

/** @returns whether there is a link already that only machines follow */
function wrapLinks(links: readonly LinkTag[], tracking: PartTracking, edits: Edit[], tally: WrapTally): boolean {
  let hasTrap = false
  for (const tag of links) {
    const verdict = judgeLink(tag, tracking.context)
    if (!verdict.wrap) {
      hasTrap ||= verdict.reason === 'tracking-host' && isTrapLink(tag.attributes)
      if (verdict.reason !== 'no-href') tally.skip(verdict.reason)
      continue
    }
    const href = hrefOf(tag)
    if (!href) continue
    const { url, action, linkName } = verdict
    const text = checked(tracking.linkFor({ action, url, ...(linkName !== undefined && { linkName }) }))
    edits.push({ start: href.valueStart, end: href.valueEnd, text })
    tally.links++
  }
  return hasTrap
}

function addPixels(
  html: string,
  bytes: Uint8Array,
  scan: HtmlScan,
  hasTrap: boolean,
  tracking: PartTracking,
  edits: Edit[],
  tally: WrapTally,
): void {
  const { context, switches, trapUrl } = tracking
  const top = scan.bodyStart === undefined ? scan.contentStart : afterPreheader(html, scan.bodyStart, bytes)
  const bottom = scan.bodyEnd ?? scan.end
  const own = ownPixels(html, bytes, { top, bottom }, context.trackingHost, context.amp)
  if (own.initialOpen || own.open) tally.keepPixels()
  if (switches.trackInitialOpen && !own.initialOpen) {
    const pixel = pixelOf(context.amp ? 'amp_initial_open' : 'initial_open', tracking)
    insert(edits, placed(html, top, pixel, tracking))
    tally.pixels++
  }
  const last: Markup[] = []
  if (trapUrl !== undefined && !hasTrap && !context.amp && tally.links > 0) last.push(trapOf(trapUrl, tracking))
  if (switches.trackOpen && !own.open) {
    last.push(pixelOf(context.amp ? 'amp_open' : 'open', tracking))
    tally.pixels++
  }
  if (last.length > 0)
    insert(
      edits,
      placed(html, bottom, fold => last.map(markup => markup(fold)).join(''), tracking),
    )
}

/** The edits by place, or why the part is left alone. */
export function plainTextEdits(text: string, tracking: PartTracking, tally: WrapTally): Edit[] | TextSkipReason {
  if (holdsOpenPgp(text)) return 'sealed'
  const links = textLinks(text, tracking.delSp)
  if (links.length > tracking.linksMax) return 'too-many-links'
  let urlBytes = 0
  for (const { start, end } of links) urlBytes += end - start
  if (urlBytes > tracking.urlBytesMax) return 'too-many-url-bytes'
  tally.addUrlBytes(urlBytes)
  const edits: Edit[] = []
  for (const { start, end, clear, optOut } of links) {
    const verdict = optOut ? undefined : judgeUrl(text.slice(start, end).replaceAll('&', '&amp;'), tracking.context)
    if (!verdict?.wrap || !clear) {
      tally.skip(verdict === undefined ? 'opt-out' : verdict.wrap ? 'unclear-end' : verdict.reason)
      continue
    }
    edits.push({ start, end, text: checked(tracking.linkFor({ action: 'click', url: verdict.url })) })
    tally.links++
  }
  return edits
}

function holdsOpenPgp(text: string): boolean {
  return text.includes(openPgpSign) && text.includes(openPgp)
}

function hrefOf({ attributes }: LinkTag): HtmlAttribute | undefined {
  for (const attribute of attributes) if (attribute.name === 'href') return attribute
  return undefined
}

/** Bytes of a link that leads to the web; others are not looked at any further. */
function urlLength(href: string): number {
  return /^\s*https?:/i.test(href) ? href.length : 0
}

/** What is put into the document, with the line ends where it may be broken over lines. */
type Markup = (fold: string) => string

function pixelOf(action: LinkRequest['action'], { linkFor, context }: PartTracking): Markup {
  const link = checked(linkFor({ action }))
  return fold => (context.amp ? ampPixel(link, fold) : htmlPixel(link, fold))
}

function trapOf(url: string, { linkFor }: PartTracking): Markup {
  const link = checked(linkFor({ action: 'click', url, linkName: trapLinkName }))
  return fold => trapLink(link, fold)
}

function placed(html: string, place: number, markup: Markup, tracking: PartTracking): Edit {
  let text = markup('')
  const lineStart = html.lastIndexOf('\n', place - 1) + 1
  const lineEnd = html.indexOf('\n', place)
  const lineChars =
    lineEnd === -1 ? html.length - lineStart : lineEnd - lineStart - (html[lineEnd - 1] === '\r' ? 1 : 0)
  // Its tags can be broken over lines without a trace in the text; a line that is too long already is left at that.
  if (lineChars <= tracking.lineCharsMax && lineChars + text.length > tracking.lineCharsMax) text = markup('\r\n')
  // It takes a line of its own with it where it stands at a line's end, and the message ends with a line end.
  const behind = /^\r?\n/.exec(html.slice(place, place + 2))?.[0]
  if (behind !== undefined) text += behind
  else if (place === html.length && tracking.endsMessage && html.endsWith('\r\n')) text += '\r\n'
  return { start: place, end: place, text }
}

/** Keeps the order of places; a pixel may stand before links that were found earlier. */
function insert(edits: Edit[], edit: Edit): void {
  let at = edits.length
  while (at > 0 && (edits[at - 1]?.start ?? 0) > edit.start) at--
  edits.splice(at, 0, edit)
}

function checked(link: string): string {
  if (!harmless.test(link)) throw new Error('the tracking link has characters that need an escape')
  return link
}
