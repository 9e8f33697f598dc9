/**
 * Preheader text: what a mail shows in the list of messages but not in the message, written in hidden elements right
 * behind `<body>`. A pixel before it would come first in that preview.
 */
import { MarkupNames, bytesOf, CommentEnds, rawText, readAttributes, skipAttributes, tagNameEnd } from './scan-html.ts'

/** How far a hidden element is followed, in characters; and how many follow each other. */
const preheaderCharsMax = 16_384
const preheadersMax = 4

const hiding =
  /display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|max-height\s*:\s*0|font-size\s*:\s*[01](?:px|pt)?\s*(?:[;!]|$)|opacity\s*:\s*0(?:\.0+)?\s*(?:[;!]|$)/i
const hidingAttributes = new MarkupNames(['style', 'class', 'id', 'hidden'])
const named = /(?:^|[\s_-])pre-?(?:header|view)/i

/** The place behind preheader elements that begin at `from`, white space and comments aside; else `from`. */
export function afterPreheader(html: string, from: number, bytes: Uint8Array = bytesOf(html)): number {
  const comments = new CommentEnds(html)
  let place = from
  for (let count = 0; count < preheadersMax; count++) {
    let at = place
    for (;;) {
      while (isSpace(html.charCodeAt(at))) at++
      if (!html.startsWith('<!--', at)) break
      const end = comments.after(at)
      if (end === -1) return place
      at = end
    }
    const end = hiddenElementEnd(html, bytes, at)
    if (end === -1) return place
    place = end
  }
  return place
}

/** What `\s` matches in Latin-1. */
function isSpace(char: number): boolean {
  return char === 0x20 || (char >= 0x09 && char <= 0x0d) || char === 0xa0
}

/** Behind the hidden element that begins at `start`; -1 when none does, or when it does not end soon. */
function hiddenElementEnd(html: string, bytes: Uint8Array, start: number): number {
  const name = /^<(div|span|p|center|font|table)(?=[\s/>])/i.exec(html.slice(start, start + 8))?.[1]?.toLowerCase()
  if (name === undefined) return -1
  const tag = readAttributes(html, bytes, start + 1 + name.length, hidingAttributes)
  if (tag === undefined) return -1
  const isHidden = tag.attributes.some(
    ({ name, value }) =>
      (name === 'style' && hiding.test(value)) ||
      ((name === 'class' || name === 'id') && named.test(value)) ||
      name === 'hidden',
  )
  if (!isHidden) return -1
  const limit = Math.min(html.length, start + preheaderCharsMax)
  const comments = new CommentEnds(html)
  let depth = 1
  let at = tag.end
  while (at < limit) {
    at = html.indexOf('<', at)
    if (at === -1 || at >= limit) return -1
    const isEnd = html[at + 1] === '/'
    const nameStart = at + (isEnd ? 2 : 1)
    if (!/^[a-z]$/i.test(html[nameStart] ?? '')) {
      at = comments.after(at)
      if (at === -1) return -1
      continue
    }
    const nameEnd = tagNameEnd(bytes, nameStart)
    const found = html.slice(nameStart, nameEnd).toLowerCase()
    // Such an element holds a few words; a document that ends inside of it is not understood.
    if (found === 'body' || found === 'html' || rawText.has(found)) return -1
    at = skipAttributes(html, bytes, nameEnd)
    if (at === -1) return -1
    if (found !== name) continue
    depth += isEnd ? -1 : 1
    if (depth === 0) return at
  }
  return -1
}
