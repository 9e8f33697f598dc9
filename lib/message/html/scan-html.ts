/**
 * Finds the links of an HTML document and the places for a pixel, by the tokenization rules of the HTML standard
 * (§13.2.5), without building a tree: its time is linear in the length of the text whatever the text is, and it never
 * looks into comments (conditional ones neither), `<script>`, `<style>` and other raw text.
 *
 * Works on bytes as characters (Latin-1) and on decoded text alike; places are indexes into that string.
 */

export interface HtmlAttribute {
  /** Lower case. */
  readonly name: string
  /** As written, character references not decoded; empty where there is none. */
  readonly value: string
  readonly valueStart: number
  readonly valueEnd: number
}

/** The start tag of an `a` or `area` element. */
export interface LinkTag {
  readonly name: 'a' | 'area'
  readonly start: number
  readonly end: number
  /** In order of appearance; of several with one name the first counts. */
  readonly attributes: readonly HtmlAttribute[]
  /** A quote stands where none belongs: readers disagree on where this tag's values end. */
  readonly ambiguous: boolean
}

export interface HtmlScan {
  readonly links: readonly LinkTag[]
  /** More links than the limit: `links` is not complete. */
  readonly tooManyLinks: boolean
  /** Behind the first `<body …>`. */
  readonly bodyStart: number | undefined
  /** Before the first text or element that belongs to the body. */
  readonly contentStart: number
  /** Before the last `</body>`. */
  readonly bodyEnd: number | undefined
  /** End of the document, before a tag, comment or raw text that nothing ends. */
  readonly end: number
}

/** Elements whose content is text, not markup. */
const rawText = new Set(['script', 'style', 'title', 'textarea', 'xmp', 'iframe', 'noembed', 'noframes'])
/** Elements that a document may begin with before its body begins. */
const beforeBody = new Set(['html', 'head', 'meta', 'title', 'style', 'link', 'base', 'script', 'noscript', 'template'])

export function scanHtml(html: string, linksMax = Number.MAX_SAFE_INTEGER): HtmlScan {
  const links: LinkTag[] = []
  const comments = new CommentEnds(html)
  let tooManyLinks = false
  let bodyStart: number | undefined
  let contentStart = -1
  let bodyEnd: number | undefined
  let end = html.length
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    if (contentStart === -1) {
      const text = firstText(html, at, open === -1 ? html.length : open)
      if (text !== -1) contentStart = text
    }
    if (open === -1) break
    const next = html.charCodeAt(open + 1)
    if (isLetter(next)) {
      const nameEnd = tagNameEnd(html, open + 1)
      const name = html.slice(open + 1, nameEnd).toLowerCase()
      if (name === 'a' || name === 'area') {
        const tag = readLinkTag(html, open, nameEnd, name)
        if (tag === undefined) {
          end = open
          break
        }
        if (links.length < linksMax) links.push(tag)
        else tooManyLinks = true
        at = tag.end
      } else {
        at = skipAttributes(html, nameEnd)
        if (at === -1) {
          end = open
          break
        }
        if (name === 'body') bodyStart ??= at
        if (name === 'plaintext') {
          end = open
          break
        }
        if (rawText.has(name)) {
          at = rawTextEnd(html, at, name)
          if (at === -1) {
            end = open
            break
          }
        }
      }
      if (contentStart === -1 && !beforeBody.has(name)) contentStart = open
    } else {
      if (next === 0x2f && isLetter(html.charCodeAt(open + 2))) {
        const nameEnd = tagNameEnd(html, open + 2)
        at = skipAttributes(html, nameEnd)
        if (at !== -1 && nameEnd - open === 6 && html.slice(open + 2, nameEnd).toLowerCase() === 'body') bodyEnd = open
      } else at = comments.after(open)
      if (at === -1) {
        end = open
        break
      }
    }
  }
  return {
    links,
    tooManyLinks,
    bodyStart,
    contentStart: contentStart === -1 ? end : Math.min(contentStart, end),
    bodyEnd,
    end,
  }
}

/** Where the element's content begins, behind its start tag's attributes; -1 when nothing ends the tag. */
export function skipAttributes(html: string, from: number): number {
  let at = from
  for (;;) {
    let char = html.charCodeAt(at)
    while (isSpace(char) || char === 0x2f) char = html.charCodeAt(++at)
    if (char === 0x3e) return at + 1
    if (char !== char) return -1
    char = html.charCodeAt(++at)
    while (char !== 0x3d && char !== 0x3e && char !== 0x2f && !isSpace(char) && char === char)
      char = html.charCodeAt(++at)
    while (isSpace(char)) char = html.charCodeAt(++at)
    if (char !== 0x3d) continue
    char = html.charCodeAt(++at)
    while (isSpace(char)) char = html.charCodeAt(++at)
    if (char === 0x22 || char === 0x27) {
      at = html.indexOf(char === 0x22 ? '"' : "'", at + 1)
      if (at === -1) return -1
      at++
    } else {
      while (char !== 0x3e && !isSpace(char) && char === char) char = html.charCodeAt(++at)
    }
  }
}

/** Behind the tag's name, which begins at `from`. */
export function tagNameEnd(html: string, from: number): number {
  let at = from
  let char = html.charCodeAt(at)
  while (char !== 0x3e && char !== 0x2f && !isSpace(char) && char === char) char = html.charCodeAt(++at)
  return at
}

/** The attributes of a start tag whose name ends at `from`; undefined when nothing ends the tag. */
export function readAttributes(
  html: string,
  from: number,
): { attributes: HtmlAttribute[]; end: number; ambiguous: boolean } | undefined {
  const attributes: HtmlAttribute[] = []
  let ambiguous = false
  let at = from
  for (;;) {
    let char = html.charCodeAt(at)
    while (isSpace(char) || char === 0x2f) char = html.charCodeAt(++at)
    if (char === 0x3e) return { attributes, end: at + 1, ambiguous }
    if (char !== char) return undefined
    const nameStart = at
    if (char === 0x22 || char === 0x27) ambiguous = true
    char = html.charCodeAt(++at)
    while (char !== 0x3d && char !== 0x3e && char !== 0x2f && !isSpace(char) && char === char) {
      if (char === 0x22 || char === 0x27) ambiguous = true
      char = html.charCodeAt(++at)
    }
    const name = html.slice(nameStart, at).toLowerCase()
    while (isSpace(char)) char = html.charCodeAt(++at)
    let valueStart = at
    let valueEnd = at
    if (char === 0x3d) {
      char = html.charCodeAt(++at)
      while (isSpace(char)) char = html.charCodeAt(++at)
      if (char === 0x22 || char === 0x27) {
        valueStart = at + 1
        valueEnd = html.indexOf(char === 0x22 ? '"' : "'", valueStart)
        if (valueEnd === -1) return undefined
        at = valueEnd + 1
      } else {
        valueStart = at
        while (char !== 0x3e && !isSpace(char) && char === char) {
          if (char === 0x22 || char === 0x27) ambiguous = true
          char = html.charCodeAt(++at)
        }
        valueEnd = at
      }
    }
    attributes.push({ name, value: html.slice(valueStart, valueEnd), valueStart, valueEnd })
  }
}

/** Finds where comments and the like end, each search made once for the whole document. */
export class CommentEnds {
  readonly #html: string
  #bang = 0
  #cdata = 0

  constructor(html: string) {
    this.#html = html
  }

  /** Behind what begins at `open` with `<!`, `<?`, `</` or `<` and is no tag; -1 when nothing ends it. */
  after(open: number): number {
    const html = this.#html
    const next = html.charCodeAt(open + 1)
    // A `<` that begins nothing is text, `</>` is nothing.
    if (next !== 0x21 && next !== 0x3f && next !== 0x2f) return open + 1
    if (html.startsWith('--', open + 2)) return this.#commentEnd(open + 4)
    // The standard ends this at the first `>`, other readers at `]]>`; what lies between is left alone.
    if (html.startsWith('[CDATA[', open + 2)) {
      if (this.#cdata !== -1 && this.#cdata <= open) this.#cdata = html.indexOf(']]>', open)
      if (this.#cdata !== -1) return this.#cdata + 3
    }
    const close = html.indexOf('>', open + 2)
    return close === -1 ? -1 : close + 1
  }

  #commentEnd(from: number): number {
    const html = this.#html
    if (html.charCodeAt(from) === 0x3e) return from + 1
    if (html.startsWith('->', from)) return from + 2
    if (this.#bang !== -1 && this.#bang < from) this.#bang = html.indexOf('--!>', from)
    const close = html.indexOf('-->', from)
    if (this.#bang !== -1 && (close === -1 || this.#bang < close)) return this.#bang + 4
    return close === -1 ? -1 : close + 3
  }
}

function readLinkTag(html: string, start: number, nameEnd: number, name: 'a' | 'area'): LinkTag | undefined {
  const read = readAttributes(html, nameEnd)
  return read && { name, start, end: read.end, attributes: read.attributes, ambiguous: read.ambiguous }
}

/** Before the end tag of a raw text element; -1 when there is none. */
function rawTextEnd(html: string, from: number, name: string): number {
  for (let at = html.indexOf('</', from); at !== -1; at = html.indexOf('</', at + 2)) {
    const nameEnd = at + 2 + name.length
    const char = html.charCodeAt(nameEnd)
    if ((char === 0x3e || char === 0x2f || isSpace(char)) && html.slice(at + 2, nameEnd).toLowerCase() === name)
      return at
  }
  return -1
}

function firstText(html: string, from: number, to: number): number {
  for (let at = from; at < to; at++) if (!isSpace(html.charCodeAt(at))) return at
  return -1
}

function isSpace(char: number): boolean {
  return char === 0x20 || char === 0x0a || char === 0x0d || char === 0x09 || char === 0x0c
}

function isLetter(char: number): boolean {
  const lower = char | 0x20
  return lower >= 0x61 && lower <= 0x7a
}
