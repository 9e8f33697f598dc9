/** Pixels that a document has already: wrapping twice is wrapping once. */
import { decodeAttributeValue } from '../html/attribute-value.ts'
import { MarkupNames, scanHtml } from '../html/scan-html.ts'
import { urlHost } from './link-policy.ts'

export interface OwnPixels {
  readonly initialOpen: boolean
  readonly open: boolean
}

/** Pictures that are looked at, at most. */
const picturesMax = 5000
const none: OwnPixels = { initialOpen: false, open: false }
const source = new MarkupNames(['src'])
const img = new MarkupNames(['img'])
const ampPixel = new MarkupNames(['amp-pixel'])

export interface PixelPlaces {
  /** Where each would be put. */
  readonly top: number
  readonly bottom: number
}

/**
 * Pictures of the tracking host: one that stands where the first pixel would go is that one, any other is the last one.
 *
 * @param html one character a byte
 */
export function ownPixels(
  html: string,
  bytes: Uint8Array,
  places: PixelPlaces,
  trackingHost: string | undefined,
  amp: boolean,
): OwnPixels {
  // Nearly no message is wrapped twice.
  if (trackingHost === undefined || !searchFor(trackingHost).test(html)) return none
  const { links: pictures } = scanHtml(html, picturesMax, bytes, source, amp ? ampPixel : img)
  let initialOpen = false
  let open = false
  for (const { start, end, attributes } of pictures) {
    if (urlHost(decodeAttributeValue(attributes[0]?.value ?? '')) !== trackingHost) continue
    const isTop =
      start >= places.top &&
      start < places.top + spanCharsMax &&
      /^\s*<span\s*>\s*$/.test(html.slice(places.top, start))
    const isBottom =
      end <= places.bottom &&
      end > places.bottom - spanCharsMax &&
      /^\s*(?:<\/amp-pixel>)?<\/span>\s*$/.test(html.slice(end, places.bottom))
    initialOpen ||= isTop
    open ||= !isTop || isBottom
  }
  return { initialOpen, open }
}

let lastSearch: { readonly host: string; readonly search: RegExp } | undefined

/** Finds the host's name in any case. There is one tracking host in a process. */
function searchFor(host: string): RegExp {
  if (lastSearch?.host !== host)
    lastSearch = { host, search: new RegExp(host.replace(/:\d+$/, '').replaceAll(/[^\w-]/g, '\\$&'), 'i') }
  return lastSearch.search
}

/** Longest markup of ours before or behind a pixel, in characters. */
const spanCharsMax = 40
