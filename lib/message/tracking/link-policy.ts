/** Which links are wrapped, and why the others are not. Pure; the wrapper and `linktool explain` both ask it. */
import type { EngagementType } from '../../event/event.ts'
import { cutUtf8 } from '../../text/cut-utf8.ts'
import { isTrackableUrl, linkNameBytesMax } from '../../link/token.ts'
import { urlUnitsMax } from '../../link/url-code.ts'
import { decodeAttributeValue } from '../html/attribute-value.ts'
import { MarkupNames, type HtmlAttribute } from '../html/scan-html.ts'
import { decodeText, isUtf8 } from '../mime/charset.ts'
import { trimSpace } from '../mime/header-block.ts'

/** Why a link is left as it is. */
export type SkipReason =
  | 'no-href'
  | 'empty'
  | 'fragment'
  /** mailto, tel, sms, cid, data, javascript and every other scheme but http and https. */
  | 'scheme'
  | 'relative'
  | 'template'
  | 'tracking-host'
  | 'opt-out'
  /** A quote where none belongs, or `<` in the value, or too many attributes: readers disagree on where it leads. */
  | 'ambiguous-tag'
  /** Characters that are not in the part's charset. */
  | 'charset'
  /** http or https, but not a URL with a host; or longer than a token can hold. */
  | 'malformed-url'
  /** In text: no clear end. */
  | 'unclear-end'

export type LinkVerdict =
  | { readonly wrap: true; readonly url: string; readonly action: EngagementType; readonly linkName?: string }
  | { readonly wrap: false; readonly reason: SkipReason }

export interface LinkContext {
  /** Lower case host, with its port when it is not the scheme's own: see `urlHost`. */
  readonly trackingHost: string | undefined
  /** Of the part, lower case; undefined when it names none. */
  readonly charset: string | undefined
  /** Whether the part is AMP. */
  readonly amp: boolean
}

/** The part of a start tag that decides. */
export interface LinkElement {
  readonly attributes: readonly HtmlAttribute[]
  readonly ambiguous: boolean
}

const templates =
  /\{\{|\}\}|\{%|%\}|\*\||\|\*|%%[^%\s/?#&=]{1,64}%%|<%|%>|\[\[|\]\]|\$\{|%7[Bb]%7[Bb]|%7[Bb]%25|\*%7[Cc]|%3[Cc]%25/

/** What each of them has, so that most URLs are looked at once only. */
const mayBeTemplate = /[{|<[\]}$]|%[%>37]|\*%/

/**
 * Most URLs are like this, and one look is enough for them: a lower case scheme, a host without a port, nothing to be
 * trimmed, and no character of which templates, other charsets or what can't be redirected to are made.
 */
const plainUrl = /^https?:\/\/[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?:[/?#][!#%&'()+,\-./0-9:;=?@A-Z_a-z~]*)?$/
const plainUrlCharsMax = 2000
const otherReference = /&(?!amp;)/

/** Attributes that exclude their link from tracking, and whether a value means so. */
const optOuts: ReadonlyMap<string, (value: string) => boolean> = new Map([
  ['data-msys-clicktrack', isOff],
  ['clicktracking', isOff],
  ['disable-tracking', isNotOff],
  ['data-pm-no-track', isNotOff],
  ['ses:no-track', isNotOff],
  ['mautic:disable-tracking', isNotOff],
  ['data-no-track', isNotOff],
])

/** Attributes that `judgeLink` asks for. */
export const linkAttributes = new MarkupNames([
  'href',
  'data-msys-linkname',
  'data-msys-unsubscribe',
  ...optOuts.keys(),
])

/** @param element attribute values one character a byte, as they stand in the part's charset */
export function judgeLink(element: LinkElement, context: LinkContext): LinkVerdict {
  let href: HtmlAttribute | undefined
  let name: HtmlAttribute | undefined
  let isUnsubscribe = false
  for (const attribute of element.attributes) {
    switch (attribute.name) {
      case 'href':
        href ??= attribute
        break
      case 'data-msys-linkname':
        name ??= attribute
        break
      case 'data-msys-unsubscribe':
        isUnsubscribe ||= attribute.value.trim() === '1'
        break
      default:
        if (optOuts.get(attribute.name)?.(attribute.value)) return skip('opt-out')
    }
  }
  if (!href) return skip('no-href')
  const verdict = judgeUrl(href.value, context)
  if (!verdict.wrap) return verdict
  // Markup within a URL: the quote that should have ended it is missing.
  if (element.ambiguous || href.value.includes('<')) return skip('ambiguous-tag')
  const linkName = name && linkNameOf(name.value, context.charset)
  const action = isUnsubscribe ? 'link_unsubscribe' : context.amp ? 'amp_click' : 'click'
  return { wrap: true, url: verdict.url, action, ...(linkName && { linkName }) }
}

/** @param value of an href, one character a byte, character references not decoded */
export function judgeUrl(
  value: string,
  context: LinkContext,
): { readonly wrap: true; readonly url: string } | { readonly wrap: false; readonly reason: SkipReason } {
  const plain = plainUrlOf(value)
  if (plain !== undefined) {
    return isHostOf(plain, context.trackingHost) ? skip('tracking-host') : { wrap: true, url: plain }
  }
  const written = trimUrl(value)
  if (written === '') return skip('empty')
  if (written.startsWith('#')) return skip('fragment')
  // The scheme as it is written: only who has something to hide writes it in character references.
  if (!/^https?:/i.test(written)) return skip(leftAlone(written))
  if (written.length > urlUnitsMax * 6) return skip('malformed-url')
  const text = urlText(written, context.charset)
  if (text === undefined) return skip('charset')
  const url = decodeAttributeValue(text)
  if (mayBeTemplate.test(url) && templates.test(url)) return skip('template')
  const host = urlHost(url)
  // What the tracker would not redirect to, or no token can hold, is no link of ours.
  if (host === undefined || !isTrackableUrl(url)) return skip('malformed-url')
  if (host === context.trackingHost) return skip('tracking-host')
  return { wrap: true, url }
}

/** The URL that a value stands for, when it is a plain one. */
function plainUrlOf(value: string): string | undefined {
  if (value.length > plainUrlCharsMax || !plainUrl.test(value)) return undefined
  if (value.includes('%') && mayBeTemplate.test(value) && templates.test(value)) return undefined
  if (!value.includes('&')) return value
  return otherReference.test(value) ? undefined : value.replaceAll('&amp;', '&')
}

/** Whether a plain URL, which has no port, is of this host. */
function isHostOf(url: string, host: string | undefined): boolean {
  if (host === undefined) return false
  const start = url.startsWith('https') ? 8 : 7
  const end = start + host.length
  if (end < url.length && !'/?#'.includes(url.charAt(end))) return false
  return url.startsWith(host, start) || (end <= url.length && url.slice(start, end).toLowerCase() === host)
}

/**
 * Host of an http or https URL, lower case, without the dot that may end a complete name, with its port when it is not
 * the scheme's own; undefined without a host.
 */
export function urlHost(url: string): string | undefined {
  const start = /^https?:\/\//i.exec(url)?.[0].length
  if (start === undefined) return undefined
  let end = start
  while (end < url.length && !'/?#\\'.includes(url.charAt(end))) end++
  const authority = url.slice(start, end)
  const host = authority.slice(authority.lastIndexOf('@') + 1).toLowerCase()
  const colon = host.lastIndexOf(':')
  const name = (colon === -1 ? host : host.slice(0, colon)).replace(/\.$/, '')
  if (name === '') return undefined
  const port = colon === -1 ? '' : host.slice(colon + 1)
  return port === '' || port === (start === 8 ? '443' : '80') ? name : `${name}:${port}`
}

/** Removes what readers of HTML remove from a URL: white space around it, tabs and line ends within. */
function trimUrl(value: string): string {
  return /[\t\n\f\r ]/.test(value) ? trimSpace(value).replaceAll(/[\t\n\r]+/g, '') : value
}

function leftAlone(written: string): SkipReason {
  if (/^(?:\{|\*\||%%|<%|\[\[|\$\{)/.test(written)) return 'template'
  return /^[a-z][a-z0-9+.-]*:/i.test(written) ? 'scheme' : 'relative'
}

/**
 * The URL's characters. In a charset other than UTF-8 readers send the bytes of the query as they stand (URL standard,
 * "query state"), so these are percent-encoded here.
 */
function urlText(written: string, charset: string | undefined): string | undefined {
  // oxlint-disable-next-line no-control-regex -- asks for what is not ASCII
  if (/^[\u0000-\u007F]*$/.test(written)) return written
  if (isUtf8(charset)) return decodeText(written, charset)
  const query = written.indexOf('?')
  const fragment = written.indexOf('#')
  if (query === -1 || (fragment !== -1 && fragment < query)) return decodeText(written, charset)
  const queryEnd = fragment === -1 ? written.length : fragment
  const before = decodeText(written.slice(0, query), charset)
  const after = decodeText(written.slice(queryEnd), charset)
  if (before === undefined || after === undefined) return undefined
  const bytes = written
    .slice(query, queryEnd)
    .replaceAll(/[\u0080-\u00FF]/g, byte => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
  return before + bytes + after
}

function linkNameOf(value: string, charset: string | undefined): string | undefined {
  const text = decodeText(value, charset)
  if (text === undefined) return undefined
  return cutUtf8(decodeAttributeValue(text).trim(), linkNameBytesMax)
}

function isOff(value: string): boolean {
  return /^\s*(?:0|off|false|no)\s*$/i.test(value)
}

function isNotOff(value: string): boolean {
  return !isOff(value)
}

function skip(reason: SkipReason): { readonly wrap: false; readonly reason: SkipReason } {
  return { wrap: false, reason }
}
