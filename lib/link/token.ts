/**
 * The text that stands for a link, one path segment of the characters of base64url:
 *
 *     VERSION(1) KEY-ID(2) MAC(16) CONTENT
 *
 * VERSION is `1`. MAC is the first 96 bits of HMAC-SHA-256 over VERSION KEY-ID CONTENT as they stand there: nothing is
 * decoded before it was verified, and no other text says the same. CONTENT:
 *
 *     KIND(1) MESSAGE-ID NAME? URL?
 *
 * KIND has the action in its lowest three bits, in the order of `actions`, then 8: the message id is in SparkPost form,
 * 16: there is a name, 32: the URL is deflated. An id in SparkPost form is its 8 bytes after `0000`, 11 characters;
 * another id and the name are texts with an end (`text-code.ts`); the URL goes up to the end (`url-code.ts`), absent
 * when there is nothing.
 */
import { timingSafeEqual } from 'node:crypto'
import type { EngagementType } from '../event/event.ts'
import { isUsableMessageId } from '../record/message-id.ts'
import type { LinkKeys } from './keys.ts'
import type { TrackedLink } from './link.ts'
import { macChars, macOf } from './mac.ts'
import { Recently } from './recently.ts'
import { isRedirectTarget } from './redirect-target.ts'
import { alphabet, alphabetValues, hexDigits } from './text-code.ts'
import { decodeUrl, encodeUrl, type EncodedUrl, urlUnitsMax } from './url-code.ts'
import { type DecodedText, decodeText } from './decode-text.ts'
import { encodeText } from './encode-text.ts'

/** First character of every token of this format. */
export const tokenVersion = '1'
/** Longest token, in characters: proxies take request lines of 8 KiB. */
export const tokenCharsMax = 8000
/** Longest link name, in bytes of UTF-8. */
export const linkNameBytesMax = 63

const macStart = 3
const contentStart = macStart + macChars
// Working space: verifying is synchronous and never nested.
const claimed = Buffer.alloc(macChars)
const expected = Buffer.alloc(macChars)
/** What a token has beside the URL, at most: id and name of nothing but the rarest characters. */
const otherCharsMax = 500
const compactId = 8
const named = 16
const deflatedUrl = 32

/** Actions by their number in a token. FROZEN. */
export const actions: readonly EngagementType[] = [
  'open',
  'initial_open',
  'click',
  'amp_open',
  'amp_initial_open',
  'amp_click',
  'list_unsubscribe',
  'link_unsubscribe',
]

export type TokenVerdict =
  | { readonly ok: true; readonly link: TrackedLink; readonly keyId: string }
  | {
      readonly ok: false
      /** `malformed`: no token of ours, or one whose target is nothing to redirect to. */
      readonly reason: 'malformed' | 'unknown-key' | 'revoked' | 'forged'
      /** Present when the text has the form of a token. */
      readonly keyId?: string
    }

/**
 * The token of a link, signed with the signing key.
 *
 * @throws RangeError when the link can't be tracked: its id is not usable, its name or URL too long, its URL nothing to
 *   redirect to
 */
export function signToken(link: TrackedLink, keys: LinkKeys): string {
  const head = tokenVersion + keys.signing.id
  const content = encodeLink(link)
  if (contentStart + content.length > tokenCharsMax) throw new RangeError('link too long for a token')
  return head + macOf(keys.signing.secret, head, content) + content
}

/** Whether `signToken` takes a link to this URL, whatever the usable id and name. */
export function isTrackableUrl(url: string): boolean {
  if (url.length > urlUnitsMax || !isRedirectTarget(url)) return false
  // Even of nothing but the rarest characters 2,000 fit.
  return url.length <= 2000 || encodeUrl(url).characters.length <= tokenCharsMax - otherCharsMax
}

/** What a token says, when we signed it. Never throws, whatever the text. */
export function verifyToken(token: string, keys: LinkKeys): TokenVerdict {
  if (!hasTokenForm(token)) return { ok: false, reason: 'malformed' }
  const keyId = token.slice(1, macStart)
  const key = keys.find(keyId)
  if (key === undefined) return { ok: false, reason: 'unknown-key', keyId }
  const content = token.slice(contentStart)
  claimed.write(token.slice(macStart, contentStart), 'latin1')
  expected.write(macOf(key.secret, token.slice(0, macStart), content), 'latin1')
  if (!timingSafeEqual(claimed, expected)) return { ok: false, reason: 'forged', keyId }
  if (key.state === 'revoked') return { ok: false, reason: 'revoked', keyId }
  const link = decodeLink(content)
  return link ? { ok: true, link, keyId } : { ok: false, reason: 'malformed', keyId }
}

/**
 * What a token says, whoever made it: for people who look into links. Nothing may be done because of it.
 * Undefined when it says nothing.
 */
export function readUnverifiedToken(token: string): { readonly link: TrackedLink; readonly keyId: string } | undefined {
  const link = hasTokenForm(token) ? decodeLink(token.slice(contentStart)) : undefined
  return link && { link, keyId: token.slice(1, macStart) }
}

/** Whether a text looks like a token of this format; says nothing about who made it. */
export function hasTokenForm(text: string): boolean {
  return text.length > contentStart && text.length <= tokenCharsMax && /^1[\w-]+$/.test(text)
}

function encodeLink({ action, messageId, url, linkName }: TrackedLink): string {
  if (linkName !== undefined && (linkName === '' || Buffer.byteLength(linkName) > linkNameBytesMax))
    throw new RangeError(`link name empty or longer than ${linkNameBytesMax} bytes`)
  const id = encodeMessageId(messageId)
  const target = url === undefined ? noUrl : encodeUrl(url)
  const kind =
    actions.indexOf(action) + id.kind + (linkName === undefined ? 0 : named) + (target.deflated ? deflatedUrl : 0)
  return (
    alphabet[kind]! + id.characters + (linkName === undefined ? '' : encodeText(linkName, true)) + target.characters
  )
}

const noUrl: EncodedUrl = { characters: '', deflated: false }

interface EncodedMessageId {
  readonly messageId: string
  /** What it adds to KIND. */
  readonly kind: number
  readonly characters: string
}

/** The message at hand: its links are made one after the other. */
let lastId: EncodedMessageId = { messageId: '', kind: 0, characters: '' }

/** @throws RangeError when it is not usable */
function encodeMessageId(messageId: string): EncodedMessageId {
  if (messageId === lastId.messageId && messageId !== '') return lastId
  if (!isUsableMessageId(messageId)) throw new RangeError('message id not usable in a link')
  const compact = /^0000[0-9a-f]{16}$/.test(messageId)
  const characters = compact
    ? Buffer.from(messageId.slice(4), 'hex').toString('base64url')
    : encodeText(messageId, true)
  lastId = { messageId, kind: compact ? compactId : 0, characters }
  return lastId
}

function decodeLink(content: string): TrackedLink | undefined {
  const kind = alphabetValues[content.charCodeAt(0)]!
  const action = actions[kind & 7]
  if (action === undefined) return undefined
  const id = kind & compactId ? decodeCompactId(content) : decodeOtherId(content)
  if (id === undefined) return undefined
  const target = decodeTarget(content.slice(id.end), kind & (named | deflatedUrl))
  if (target === undefined) return undefined
  // Member by member: runs for every request, and a copy of parts costs several times as much.
  const link: { -readonly [Member in keyof TrackedLink]: TrackedLink[Member] } = { action, messageId: id.text }
  if (target.url !== undefined) link.url = target.url
  if (target.linkName !== undefined) link.linkName = target.linkName
  return link
}

/** An id in SparkPost form: five pairs of characters, each three hex digits, and the first four bits of the eleventh. */
function decodeCompactId(content: string): DecodedText | undefined {
  if (content.length < 12) return undefined
  let to = 4
  for (let at = 1; at < 11; at += 2) {
    const bits = valueAt(content, at) * 64 + valueAt(content, at + 1)
    compactIdText[to++] = hexCodes[bits >> 8]!
    compactIdText[to++] = hexCodes[(bits >> 4) & 15]!
    compactIdText[to++] = hexCodes[bits & 15]!
  }
  compactIdText[to] = hexCodes[valueAt(content, 11) >> 2]!
  return { text: compactIdText.toString('latin1'), end: 12 }
}

const hexCodes = Uint8Array.from(hexDigits, digit => digit.charCodeAt(0))
/** Working space: decoding is synchronous and never nested. */
const compactIdText = Buffer.alloc(20, '0')

function decodeOtherId(content: string): DecodedText | undefined {
  const id = decodeText(content, 1, true)
  return id && isUsableMessageId(id.text) ? id : undefined
}

function valueAt(content: string, at: number): number {
  return alphabetValues[content.charCodeAt(at)]!
}

/** What a link says beside action and message. */
type Target = Pick<TrackedLink, 'url' | 'linkName'>

/**
 * All recipients of a campaign have the same targets, behind ids and MACs that differ. At most 2,048 of up to 1,024
 * units together: some 4 MB.
 */
const recentTargets = new Recently<{ readonly flags: number; readonly target: Target }>(1024)
const rememberedUnitsMax = 1024

/** @param flags `named` and `deflatedUrl`, where they are set in KIND */
function decodeTarget(tail: string, flags: number): Target | undefined {
  const known = recentTargets.get(tail)
  if (known?.flags === flags) return known.target
  let next = 0
  let linkName: string | undefined
  if (flags & named) {
    const name = decodeText(tail, 0, true)
    if (name === undefined || name.text === '') return undefined
    linkName = name.text
    next = name.end
  }
  const url = next === tail.length ? '' : decodeUrl(tail, next, (flags & deflatedUrl) !== 0)
  if (url === undefined || (url !== '' && !isRedirectTarget(url))) return undefined
  const target = { ...(url !== '' && { url }), ...(linkName !== undefined && { linkName }) }
  if (tail.length + url.length <= rememberedUnitsMax) recentTargets.set(tail, { flags, target })
  return target
}
