/** The links of an HTML text, for a list beside it. */
import { Parser } from 'htmlparser2'

/** Links that are listed; a mail with more shows the rest in itself. */
const linksMax = 200

/** Elements that may stand open before the rest is not looked at: the parser takes time with the square of it. */
const depthMax = 2_000

/** Characters that are handed to the parser at once. */
const pieceChars = 65_536

/** `http` and `https` targets of `<a>` and `<area>`, each once, in order. */
export function linksOf(text: string): readonly string[] {
  const found = new Set<string>()
  const state = { depth: 0, enough: false }
  const parser = new Parser({
    onopentag: (name, attributes) => {
      state.depth++
      const href = name === 'a' || name === 'area' ? attributes['href']?.trim() : undefined
      if (href !== undefined && /^https?:\/\//i.test(href)) found.add(href)
      state.enough = state.depth > depthMax || found.size >= linksMax
      if (state.enough) parser.pause()
    },
    onclosetag: () => {
      state.depth--
    },
  })
  for (let at = 0; at < text.length && !state.enough; at += pieceChars) parser.write(text.slice(at, at + pieceChars))
  return [...found]
}
