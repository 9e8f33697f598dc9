/** Links in `text/plain` (RFC 3986 appendix C). */

/** A URL in a text, or what looks like one and has no clear end. */
export interface TextLink {
  readonly start: number
  readonly end: number
  /** False where it can't be told where the URL ends. */
  readonly clear: boolean
  /** Followed by `[[data-msys-clicktrack="0"]]`. */
  readonly optOut: boolean
}

// oxlint-disable-next-line no-control-regex -- control characters end a URL
const candidate = /https?:\/\/[^\s<>"\u0000-\u001F]+/gi
/** Longest URL in a text whose end is looked for, in characters. */
const urlCharsMax = 8192
/** Pairs, by their number; none has the number 0. */
const brackets = ['', '()', '[]', '{}']
const sentence = 255
/** What each character may be at the end of a URL: the number of a closing bracket, `sentence`, or 0. */
const endings = new Uint8Array(256)
const openings = new Uint8Array(256)
for (const [number, pair] of brackets.entries()) {
  if (number === 0) continue
  openings[pair.charCodeAt(0)] = number
  endings[pair.charCodeAt(1)] = number
}
for (const char of Buffer.from(".,;:!?'*_~|\\`")) endings[char] = sentence

/**
 * @param text one character a byte
 * @param delSp a space before a line end joins the two lines (RFC 3676): what stands there may go on, or have begun before
 */
export function textLinks(text: string, delSp = false): TextLink[] {
  const links: TextLink[] = []
  for (const match of text.matchAll(candidate)) {
    const start = match.index
    const before = text.charCodeAt(start - 1)
    const isJoined = delSp && text.startsWith(' \r\n', start - 3)
    const goesOn = delSp && text.startsWith(' \r\n', start + match[0].length)
    const marker = match[0].indexOf('[[')
    if (marker !== -1) {
      const optOut = /^\[\[data-msys-clicktrack=["']?0/i.test(text.slice(start + marker, start + marker + 32))
      links.push({ start, end: start + marker, clear: optOut, optOut })
      continue
    }
    const written = match[0].length
    if (written > urlCharsMax) {
      links.push({ start, end: start + written, clear: false, optOut: false })
      continue
    }
    const url = withoutPunctuation(match[0])
    const end = start + url.length
    // `<http://…` that goes on in the next line, a letter before it, or letters of another script behind it.
    const clear =
      !(before === 0x3c && text.charCodeAt(start + written) !== 0x3e) &&
      // oxlint-disable-next-line no-control-regex -- asks for what is not ASCII
      /^[\u0000-\u007F]*$/.test(match[0]) &&
      !/[A-Za-z0-9\u0080-\u00FF=]/.test(text[start - (isJoined ? 4 : 1)] ?? '') &&
      !goesOn
    links.push({ start, end, clear, optOut: false })
  }
  return links
}

/** Punctuation at the end belongs to the sentence; a closing bracket does unless it was opened within. */
function withoutPunctuation(url: string): string {
  let end = url.length
  // How many more of each bracket are closed than opened; counted when one is met.
  let surplus: Int32Array | undefined
  for (; end > 8; end--) {
    const kind = endings[url.charCodeAt(end - 1)] ?? 0
    if (kind === sentence) continue
    if (kind === 0) break
    surplus ??= surplusOf(url)
    if ((surplus[kind] ?? 0) <= 0) break
    surplus[kind] = (surplus[kind] ?? 0) - 1
  }
  return url.slice(0, end)
}

function surplusOf(url: string): Int32Array {
  const surplus = new Int32Array(brackets.length)
  for (let at = 0; at < url.length; at++) {
    const char = url.charCodeAt(at)
    const closing = endings[char] ?? 0
    if (closing !== sentence) surplus[closing]! += 1
    surplus[openings[char] ?? 0]! -= 1
  }
  return surplus
}
