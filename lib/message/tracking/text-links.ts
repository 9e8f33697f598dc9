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
const brackets: readonly (readonly [string, string])[] = [
  ['(', ')'],
  ['[', ']'],
  ['{', '}'],
]

/** @param text one character a byte */
export function textLinks(text: string): TextLink[] {
  const links: TextLink[] = []
  for (const match of text.matchAll(candidate)) {
    const start = match.index
    const before = text.charCodeAt(start - 1)
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
      !/[A-Za-z0-9\u0080-\u00FF=]/.test(text[start - 1] ?? '')
    links.push({ start, end, clear, optOut: false })
  }
  return links
}

/** Punctuation at the end belongs to the sentence; a closing bracket does unless it was opened within. */
function withoutPunctuation(url: string): string {
  // How many more of each bracket are closed than opened.
  const surplus = brackets.map(([open, close]) => count(url, close) - count(url, open))
  let end = url.length
  for (; end > 8; end--) {
    const char = url.charAt(end - 1)
    if (/[.,;:!?'*_~|\\`]/.test(char)) continue
    const kind = brackets.findIndex(([, close]) => close === char)
    if (kind === -1 || (surplus[kind] ?? 0) <= 0) break
    surplus[kind] = (surplus[kind] ?? 0) - 1
  }
  return url.slice(0, end)
}

function count(text: string, char: string): number {
  let found = 0
  for (let at = text.indexOf(char); at !== -1; at = text.indexOf(char, at + 1)) found++
  return found
}
