/**
 * How a URL stands in a token: as a text of our own code (`text-code.ts`), or as raw deflate (RFC 1951) of its UTF-8 in
 * base64url, for long ones and those that repeat themselves.
 *
 * Which of the two is chosen is no part of the format. Deflate takes long to set up, so it is only tried where it may
 * win: the 2020 format deflates all links, and no link should be longer than there.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { decodeText } from './decode-text.ts'
import { encodeText } from './encode-text.ts'
import { Recently } from './recently.ts'
import { isRedirectTarget } from './redirect-target.ts'
import { textUnitsMax } from './text-code.ts'

export interface EncodedUrl {
  readonly characters: string
  readonly deflated: boolean
}

/** Longest URL, in UTF-16 code units. */
export const urlUnitsMax = textUnitsMax
/** Most bytes that one may inflate to: no unit takes more than three in UTF-8. */
const inflatedBytesMax = 3 * urlUnitsMax
/** Longest URL that is tried as a text: with longer ones deflate is as good, and takes half the time. */
const textTriedUnitsMax = 2000
/** Shortest result, in characters, that deflate may beat. */
const triedCharsMin = 160
/** Random tokens, which no method makes shorter, have so many different characters and come out about as long. */
const randomDistinctMin = 50
const randomRatioMin = 0.9
const randomRatioMax = 1.03

/** The messages of a campaign share most of their URLs. At most 2,048 of up to 512 units: some 3 MB. */
const recently = new Recently<EncodedUrl>(1024)
const rememberedUnitsMax = 512
let last: { readonly url: string; readonly encoded: EncodedUrl } = {
  url: '',
  encoded: { characters: '', deflated: false },
}

/** @throws RangeError for a URL of more than `urlUnitsMax`, or one that is nothing to redirect to */
export function encodeUrl(url: string): EncodedUrl {
  if (url.length > rememberedUnitsMax) {
    // Whether a long one fits is asked before its link is made.
    if (url !== last.url) last = { url, encoded: encode(url) }
    return last.encoded
  }
  const known = recently.get(url)
  if (known) return known
  const encoded = encode(url)
  recently.set(url, encoded)
  return encoded
}

function encode(url: string): EncodedUrl {
  if (!isRedirectTarget(url)) throw new RangeError('URL is nothing to redirect to')
  if (url.length > urlUnitsMax) throw new RangeError(`URL longer than ${urlUnitsMax} characters`)
  if (url.length > textTriedUnitsMax && url.isWellFormed()) return { characters: deflate(url), deflated: true }
  const characters = encodeText(url)
  if (characters.length < triedCharsMin || isRandom(url, characters) || !url.isWellFormed())
    return { characters, deflated: false }
  const deflated = deflate(url)
  return deflated.length < characters.length
    ? { characters: deflated, deflated: true }
    : { characters, deflated: false }
}

function deflate(url: string): string {
  // The window is as long as the longest URL; less state to set up.
  return deflateRawSync(url, { level: 9, windowBits: 13, memLevel: 6 }).toString('base64url')
}

/** Undefined when that is no encoded URL, or one of more than `urlUnitsMax`. */
export function decodeUrl(token: string, start: number, deflated: boolean): string | undefined {
  if (!deflated) return decodeText(token, start, false)?.text
  try {
    const bytes = inflateRawSync(Buffer.from(token.slice(start), 'base64url'), { maxOutputLength: inflatedBytesMax })
    const url = bytes.toString()
    return url.length <= urlUnitsMax ? url : undefined
  } catch {
    return undefined
  }
}

function isRandom(url: string, characters: string): boolean {
  const ratio = characters.length / url.length
  return ratio > randomRatioMin && ratio < randomRatioMax && distinctCharacters(url) >= randomDistinctMin
}

function distinctCharacters(url: string): number {
  const seen = new Uint8Array(128)
  let count = 0
  for (let at = 0; at < url.length; at++) {
    const code = url.charCodeAt(at)
    if (code > 127 || seen[code] === 1) continue
    seen[code] = 1
    count++
  }
  return count
}
