/** What a reader sees of the links of a document, and the links that nobody sees. */
import { load } from 'cheerio'
import { scanHtml } from '../message/html/scan-html.ts'

export interface CommentLink {
  readonly text: string
  readonly url: string
}

/** What is known of a node; cheerio has more. */
interface Node {
  readonly nodeType: number
  readonly name?: string
  readonly data?: string
  readonly attribs?: Readonly<Record<string, string>>
  readonly startIndex?: number | null
  readonly children?: readonly Node[]
}

/** DOM's `TEXT_NODE`, `CDATA_SECTION_NODE` and `COMMENT_NODE`. */
const textNode = 3
const cdataNode = 4
const commentNode = 8

/** Longest document that is parsed, in characters: what the wrapper rewrites at most. */
const documentCharsMax = 2 << 20
/** Elements within elements from which on a document is not parsed: the parser's time grows with the square of them. */
const depthMax = 5_000
/** What is shown of a text, in characters. */
const textCharsMax = 1_000
/** Nodes that are looked at for it. */
const textNodesMax = 10_000

export class SeenText {
  readonly commentLinks: readonly CommentLink[]
  readonly #texts: readonly string[]

  /** @param text a document; of one that no parser is fit for nothing is known */
  constructor(text: string) {
    const byStart = new Map<number, string>()
    const comments: CommentLink[] = []
    for (const node of isParsable(text) ? nodesOf(rootOf(text)) : []) {
      if (isLink(node) && typeof node.startIndex === 'number') byStart.set(node.startIndex, seenOf(node))
      if (node.nodeType === commentNode) comments.push(...linksWithin(node.data ?? ''))
    }
    // Start indices of the parser and of the scanner are places in the same text.
    this.#texts = scanHtml(text).links.map(tag => byStart.get(tag.start) ?? '')
    this.commentLinks = comments
  }

  /** Of the link at this place in the order of the document. */
  textOf(index: number): string {
    return this.#texts[index] ?? ''
  }
}

function rootOf(html: string): Node {
  return load(html, { xml: { xmlMode: false, withStartIndices: true } }).root()[0] as unknown as Node
}

/** All nodes below one, in the order of the document. Without recursion, for there may be thousands of levels. */
function* nodesOf(root: Node): Generator<Node> {
  const open = [(root.children ?? [])[Symbol.iterator]()]
  for (let level = open.at(-1); level; level = open.at(-1)) {
    const next = level.next()
    if (next.done === true) {
      open.pop()
      continue
    }
    yield next.value
    if (next.value.children) open.push(next.value.children[Symbol.iterator]())
  }
}

function isLink({ name }: Node): boolean {
  return name === 'a' || name === 'area'
}

function seenOf(link: Node): string {
  let text = ''
  let image: string | undefined
  let count = 0
  for (const { nodeType, name, data = '', attribs } of nodesOf(link)) {
    if (nodeType === textNode || nodeType === cdataNode) text += data.slice(0, textCharsMax)
    if (name === 'img') image ??= `[image: ${attribs?.['alt'] ?? ''}]`
    if (text.length >= textCharsMax || ++count >= textNodesMax) break
  }
  return oneLine(text) || oneLine(link.attribs?.['alt'] ?? '') || (image ?? '')
}

function linksWithin(comment: string): CommentLink[] {
  if (!isParsable(comment)) return []
  return Array.from(nodesOf(rootOf(comment))).flatMap(node => {
    const url = node.attribs?.['href']
    return isLink(node) && url !== undefined ? [{ text: seenOf(node), url }] : []
  })
}

/** Elements that never have others in them (HTML 13.1.2). */
const voidElements = new Set('area base br col embed hr img input link meta param source track wbr'.split(' '))

/** Whether a parser is done with it in a reasonable time. Counts elements that end without an end tag as well. */
function isParsable(html: string): boolean {
  if (html.length > documentCharsMax) return false
  let depth = 0
  for (const [, slash, name = ''] of html.matchAll(/<(\/?)([a-z][^\s/>]*)/gi)) {
    if (slash === '/') depth = Math.max(0, depth - 1)
    else if (!voidElements.has(name.toLowerCase())) depth++
    if (depth > depthMax) return false
  }
  return true
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, textCharsMax)
}
