/**
 * Finds the links of an HTML document and the places for a pixel, by the tokenization rules of the HTML standard
 * (§13.2.5), without building a tree: its time is linear in the length of the text whatever the text is, and it never
 * looks into comments (conditional ones neither), `<script>`, `<style>` and other raw text.
 *
 * Works on bytes as characters (Latin-1) and on decoded text alike; places are indexes into that string. It walks bytes
 * because reading a byte costs a fifth of `charCodeAt`.
 */

export interface HtmlAttribute {
  /** Lower case. */
  readonly name: string
  /** As written, character references not decoded; empty where there is none. */
  readonly value: string
  readonly valueStart: number
  readonly valueEnd: number
}

/** The start tag of an `a` or `area` element, or of another one that was asked for. */
export interface LinkTag {
  /** Lower case. */
  readonly name: string
  readonly start: number
  readonly end: number
  /** Those that were asked for, in order of appearance; of several with one name the first. */
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
export const rawText: ReadonlySet<string> = new Set([
  'script',
  'style',
  'title',
  'textarea',
  'xmp',
  'iframe',
  'noembed',
  'noframes',
])
/** Elements that a document may begin with before its body begins. */
const beforeBody = new Set([
  'html',
  'head',
  'meta',
  'title',
  'style',
  'link',
  'base',
  'script',
  'noscript',
  'template',
  // A picture before them would be the beginning of a body, and the frames would go.
  'frameset',
  'frame',
  'noframes',
])

/** Attributes of one tag that are read; a tag with more is ambiguous. */
const attributesMax = 256

const space = 1
const slash = 2
const greater = 4
const equals = 8
/** What each byte means within a tag, a sum of the above. */
const kinds = new Uint8Array(256)
for (const byte of [0x20, 0x09, 0x0a, 0x0c, 0x0d]) kinds[byte] = space
kinds[0x2f] = slash
kinds[0x3e] = greater
kinds[0x3d] = equals

const doubleQuote = 0x22
const singleQuote = 0x27

/** Names of attributes or elements that are asked for: markup made to hold thousands of others costs no memory. */
export class MarkupNames {
  readonly #names: ReadonlySet<string>
  readonly #lengths: ReadonlySet<number>
  /** 1 for each character that one begins with. */
  readonly #begins = new Uint8Array(256)

  /** @param names lower case */
  constructor(names: readonly string[]) {
    this.#names = new Set(names)
    this.#lengths = new Set(names.map(name => name.length))
    for (const name of names) {
      this.#begins[name.charCodeAt(0)] = 1
      this.#begins[name.toUpperCase().charCodeAt(0)] = 1
    }
  }

  /** These and more. */
  with(names: readonly string[]): MarkupNames {
    return new MarkupNames([...this.#names, ...names])
  }

  /** The name that stands there, lower case, when it is one of these. */
  nameAt(html: string, start: number, end: number): string | undefined {
    if (!this.#lengths.has(end - start) || this.#begins[html.charCodeAt(start)] !== 1) return undefined
    const name = html.slice(start, end).toLowerCase()
    return this.#names.has(name) ? name : undefined
  }
}

const linkElements = new MarkupNames(['a', 'area'])
const hrefOnly = new MarkupNames(['href'])

/**
 * @param bytes the same text as bytes, where the caller has it
 * @param names of the attributes of links that are read; by default `href` alone
 * @param elements those that are taken for links
 */
export function scanHtml(
  html: string,
  linksMax = Number.MAX_SAFE_INTEGER,
  bytes: Uint8Array = bytesOf(html),
  names: MarkupNames = hrefOnly,
  elements: MarkupNames = linkElements,
): HtmlScan {
  const links: LinkTag[] = []
  const comments = new CommentEnds(html)
  const { length } = html
  let tooManyLinks = false
  let bodyStart: number | undefined
  let contentStart = -1
  let bodyEnd: number | undefined
  let end = length
  // A byte order mark is no text.
  let at = html.startsWith('\u00EF\u00BB\u00BF') ? 3 : 0
  while (at < length) {
    const open = html.indexOf('<', at)
    if (contentStart === -1) contentStart = firstText(bytes, at, open === -1 ? length : open)
    if (open === -1) break
    const next = bytes[open + 1] ?? 0
    if (isLetter(next)) {
      const nameEnd = tagNameEnd(bytes, open + 1)
      const asked = elements.nameAt(html, open + 1, nameEnd)
      const name =
        asked === undefined && (contentStart === -1 || mayMatter(next, nameEnd - open - 1))
          ? html.slice(open + 1, nameEnd).toLowerCase()
          : (asked ?? '')
      if (asked !== undefined) {
        const read = readAttributes(html, bytes, nameEnd, names)
        at = read?.end ?? -1
        if (read && links.length < linksMax) links.push({ name, start: open, ...read })
        else tooManyLinks ||= read !== undefined
      } else {
        at = skipAttributes(html, bytes, nameEnd)
        if (at !== -1 && name === 'body') bodyStart ??= at
        if (name === 'plaintext') at = -1
        if (at !== -1 && rawText.has(name)) at = rawTextEnd(html, bytes, at, name)
      }
      if (contentStart === -1 && !beforeBody.has(name)) contentStart = open
    } else if (next === 0x2f && isLetter(bytes[open + 2] ?? 0)) {
      const nameEnd = tagNameEnd(bytes, open + 2)
      at = skipAttributes(html, bytes, nameEnd)
      if (at !== -1 && nameEnd - open === 6 && html.slice(open + 2, nameEnd).toLowerCase() === 'body') bodyEnd = open
    } else at = comments.after(open)
    if (at === -1) {
      end = open
      break
    }
  }
  if (contentStart === -1 || contentStart > end) contentStart = end
  return { links, tooManyLinks, bodyStart, contentStart, bodyEnd, end }
}

/** The text as bytes; characters above 0xFF, which mean nothing to markup, become one that does neither. */
export function bytesOf(html: string): Uint8Array {
  return Buffer.from(html.replaceAll(/[\u0100-\uFFFF]/g, '\u00FF'), 'latin1')
}

/** Behind the `>` of a tag whose name ends at `from`; -1 when nothing ends the tag. */
export function skipAttributes(html: string, bytes: Uint8Array, from: number): number {
  const { length } = bytes
  let at = from
  while (at < length) {
    while (at < length && (kinds[bytes[at]!]! & (space | slash)) !== 0) at++
    if (bytes[at] === 0x3e) return at + 1
    at++
    while (at < length && kinds[bytes[at]!] === 0) at++
    while (at < length && kinds[bytes[at]!] === space) at++
    if (bytes[at] !== 0x3d) continue
    at++
    while (at < length && kinds[bytes[at]!] === space) at++
    const quote = bytes[at]
    if (quote === doubleQuote || quote === singleQuote) {
      at = html.indexOf(quote === doubleQuote ? '"' : "'", at + 1)
      if (at === -1) return -1
      at++
    } else while (at < length && (kinds[bytes[at]!]! & (space | greater)) === 0) at++
  }
  return -1
}

/** Behind the tag's name, which begins at `from`. */
export function tagNameEnd(bytes: Uint8Array, from: number): number {
  let at = from
  while (at < bytes.length && (kinds[bytes[at]!]! & (space | slash | greater)) === 0) at++
  return at
}

/** The attributes of a start tag whose name ends at `from`; undefined when nothing ends the tag. */
export function readAttributes(
  html: string,
  bytes: Uint8Array,
  from: number,
  names: MarkupNames,
): { attributes: HtmlAttribute[]; end: number; ambiguous: boolean } | undefined {
  const { length } = bytes
  const attributes: HtmlAttribute[] = []
  let ambiguous = false
  let seen = 0
  let at = from
  while (at < length) {
    while (at < length && (kinds[bytes[at]!]! & (space | slash)) !== 0) at++
    if (bytes[at] === 0x3e) return { attributes, end: at + 1, ambiguous }
    if (seen++ === attributesMax) {
      const end = skipAttributes(html, bytes, at)
      return end === -1 ? undefined : { attributes, end, ambiguous: true }
    }
    const nameStart = at
    do ambiguous ||= isQuote(bytes[at]!)
    while (++at < length && kinds[bytes[at]!] === 0)
    const name = names.nameAt(html, nameStart, at)
    while (at < length && kinds[bytes[at]!] === space) at++
    let valueStart = at
    let valueEnd = at
    if (bytes[at] === 0x3d) {
      at++
      while (at < length && kinds[bytes[at]!] === space) at++
      const quote = bytes[at]
      if (quote === doubleQuote || quote === singleQuote) {
        valueStart = at + 1
        valueEnd = html.indexOf(quote === doubleQuote ? '"' : "'", valueStart)
        if (valueEnd === -1) return undefined
        at = valueEnd + 1
      } else {
        valueStart = at
        for (; at < length && (kinds[bytes[at]!]! & (space | greater)) === 0; at++) ambiguous ||= isQuote(bytes[at]!)
        valueEnd = at
      }
    }
    if (name === undefined || attributes.some(other => other.name === name)) continue
    attributes.push({ name, value: html.slice(valueStart, valueEnd), valueStart, valueEnd })
  }
  return undefined
}

/** Finds where comments and the like end, each search made once for the whole document. */
export class CommentEnds {
  readonly #html: string
  // Places of the next ones, -1 when there are no more; looked for again only when the place lies behind.
  #close = 0
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
    if (html.startsWith('!--', open + 1)) return this.#commentEnd(open + 4)
    // The standard ends this at the first `>`, other readers at `]]>`; what lies between is left alone.
    if (html.startsWith('![CDATA[', open + 1)) {
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
    if (this.#close !== -1 && this.#close < from) this.#close = html.indexOf('-->', from)
    const close = this.#close
    // Either it is found, or the search goes on behind what was looked through.
    const bang = html.slice(from, close === -1 ? html.length : close).indexOf('--!>')
    if (bang !== -1) return from + bang + 4
    return close === -1 ? -1 : close + 3
  }
}

/** Before the end tag of a raw text element; -1 when there is none. */
function rawTextEnd(html: string, bytes: Uint8Array, from: number, name: string): number {
  for (let at = html.indexOf('</', from); at !== -1; at = html.indexOf('</', at + 2)) {
    const nameEnd = tagNameEnd(bytes, at + 2)
    const isName = nameEnd - at - 2 === name.length && html.slice(at + 2, nameEnd).toLowerCase() === name
    if (isName && nameEnd < html.length) return at
  }
  return -1
}

/** Whether a tag's name can be one that matters, by its first letter and length: most tags are none of those. */
function mayMatter(first: number, length: number): boolean {
  switch (first | 0x20) {
    case 0x62:
      return length === 4
    case 0x69:
    case 0x73:
    case 0x6e:
    case 0x70:
      return length > 4
    case 0x74:
      return length === 5 || length === 8
    case 0x78:
      return length === 3
    default:
      return false
  }
}

function firstText(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) if (kinds[bytes[at]!] !== space) return at
  return -1
}

function isQuote(byte: number): boolean {
  return byte === doubleQuote || byte === singleQuote
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x7a
}
