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
 * @param link a link, its token, or a link of another service that ours stands in (Outlook's Safe Links and the like)
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

/** Values of the query that are URLs. */
function innerLinks(link: string): string[] {
  const url = link.trim()
  if (!URL.canParse(url)) return []
  return [...new URL(url).searchParams.values()].filter(value => /^https?:\/\//i.test(value))
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
