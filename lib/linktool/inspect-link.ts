/** What can be said of a link, for people. */
import type { LinkKeys, LinkKeyState } from '../link/keys.ts'
import { decodeLegacyToken } from '../link/legacy-token.ts'
import { tokenOfUrl } from '../link/link-url.ts'
import { hasTokenForm, readUnverifiedToken, tokenVersion, verifyToken } from '../link/token.ts'
import { messageIdTime } from '../record/message-id.ts'

export interface InspectedLink {
  /** Whose format it is. */
  readonly format: string
  readonly signature: 'valid' | 'revoked' | 'forged' | 'unknown-key' | 'malformed' | 'unchecked' | 'none'
  readonly keyId?: string
  readonly keyState?: LinkKeyState
  readonly action?: string
  readonly messageId?: string
  /** When the message was stamped, ISO 8601, for ids in SparkPost form. */
  readonly stamped?: string
  readonly linkName?: string
  /** Only the links of the 2020 project have it. */
  readonly recipient?: string
  readonly url?: string
}

/**
 * @param link a link, its token, or a link of another service that ours stands in
 * @param keys undefined: the signature is not checked
 * @returns undefined for a text that is no link we can read
 */
export function inspectLink(link: string, keys: LinkKeys | undefined): InspectedLink | undefined {
  return (
    inspectToken(tokenOfUrl(link), keys) ??
    innerLinks(link)
      .map(inner => inspectToken(tokenOfUrl(inner), keys))
      .find(found => found !== undefined)
  )
}

/**
 * URLs within a link as security services rewrite it: in its query (Outlook's Safe Links, Barracuda), there with - for %
 * and _ for / (Proofpoint 2), between underscores, * standing for characters kept elsewhere (Proofpoint 3), escaped as a
 * segment of its path (Cisco).
 */
function innerLinks(link: string): string[] {
  const url = link.trim()
  if (!URL.canParse(url)) return []
  const inQuery = [...new URL(url).searchParams.values()]
  const proofpoint2 = inQuery.filter(value => /^https?-3A_/i.test(value)).map(unescapeDashes)
  // Of our tokens nothing is kept elsewhere but the padding of the older format.
  const proofpoint3 = /\/__(https?:\/.+?)\**__;/i.exec(url)?.slice(1) ?? []
  const inPath = (/\/(https?%3a%2f%2f[^/?#]+)/i.exec(url)?.slice(1) ?? []).map(unescape)
  return [...inQuery, ...proofpoint2, ...proofpoint3, ...inPath].filter(value => /^https?:\//i.test(value))
}

function unescapeDashes(text: string): string {
  return unescape(text.replaceAll('_', '/').replaceAll('-', '%'))
}

/** The text as it is when it holds what is no escape. */
function unescape(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function inspectToken(token: string, keys: LinkKeys | undefined): InspectedLink | undefined {
  const read = readUnverifiedToken(token)
  if (read) {
    const verdict = keys && verifyToken(token, keys)
    const keyState = keys?.find(read.keyId)?.state
    return {
      format: `version ${tokenVersion}`,
      signature: verdict === undefined ? 'unchecked' : verdict.ok ? 'valid' : verdict.reason,
      keyId: read.keyId,
      ...(keyState && { keyState }),
      ...read.link,
      ...stamped(read.link.messageId),
    }
  }
  const legacy = decodeLegacyToken(token)
  if (legacy === undefined && hasTokenForm(token)) return unreadable(token, keys)
  return legacy && { format: '2020 project', signature: 'none', ...legacy, ...stamped(legacy.messageId) }
}

/** It looks like a link of ours, and what it says makes no sense: it was cut or changed on its way. */
function unreadable(token: string, keys: LinkKeys | undefined): InspectedLink {
  const verdict = keys && verifyToken(token, keys)
  const signature = verdict === undefined ? 'unchecked' : verdict.ok ? 'valid' : verdict.reason
  return { format: `version ${tokenVersion}`, signature, keyId: token.slice(1, 3) }
}

function stamped(messageId: string): { stamped?: string } {
  const time = messageIdTime(messageId)
  return time === undefined ? {} : { stamped: new Date(time).toISOString() }
}
