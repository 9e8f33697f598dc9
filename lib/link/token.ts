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
import { isRedirectTarget } from './redirect-target.ts'
import { alphabet } from './text-code.ts'
import { decodeUrl, encodeUrl, type EncodedUrl, urlUnitsMax } from './url-code.ts'
import { decodeText } from './decode-text.ts'
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
  return head + macOf(keys.signing.secret, head + content) + content
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
  expected.write(macOf(key.secret, token.slice(0, macStart) + content), 'latin1')
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
  if (!isUsableMessageId(messageId)) throw new RangeError('message id not usable in a link')
  if (linkName !== undefined && (linkName === '' || Buffer.byteLength(linkName) > linkNameBytesMax))
    throw new RangeError(`link name empty or longer than ${linkNameBytesMax} bytes`)
  if (url !== undefined && !isRedirectTarget(url)) throw new RangeError('URL is nothing to redirect to')
  if (url !== undefined && url.length > urlUnitsMax) throw new RangeError(`URL longer than ${urlUnitsMax} characters`)
  const compact = /^0000[0-9a-f]{16}$/.test(messageId)
  const target: EncodedUrl = url === undefined ? { characters: '', deflated: false } : encodeUrl(url)
  const kind =
    actions.indexOf(action) +
    (compact ? compactId : 0) +
    (linkName === undefined ? 0 : named) +
    (target.deflated ? deflatedUrl : 0)
  return (
    alphabet[kind]! +
    (compact ? Buffer.from(messageId.slice(4), 'hex').toString('base64url') : encodeText(messageId, true)) +
    (linkName === undefined ? '' : encodeText(linkName, true)) +
    target.characters
  )
}

function decodeLink(content: string): TrackedLink | undefined {
  const kind = alphabet.indexOf(content[0]!)
  const action = actions[kind & 7]
  if (action === undefined) return undefined
  let next = 1
  let messageId
  if (kind & compactId) {
    next += 11
    const bytes = Buffer.from(content.slice(1, next), 'base64url')
    if (bytes.length !== 8 || content.length < next) return undefined
    messageId = `0000${bytes.toString('hex')}`
  } else {
    const id = decodeText(content, next, true)
    if (id === undefined || !isUsableMessageId(id.text)) return undefined
    messageId = id.text
    next = id.end
  }
  let linkName
  if (kind & named) {
    const name = decodeText(content, next, true)
    if (name === undefined || name.text === '') return undefined
    linkName = name.text
    next = name.end
  }
  const url = next === content.length ? '' : decodeUrl(content, next, (kind & deflatedUrl) !== 0)
  if (url === undefined || (url !== '' && !isRedirectTarget(url))) return undefined
  return {
    action,
    messageId,
    ...(url !== '' && { url }),
    ...(linkName !== undefined && { linkName }),
  }
}
