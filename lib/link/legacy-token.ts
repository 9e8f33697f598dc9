/**
 * Reads the links of the 2020 project: base64url with padding of a zlib stream of
 * `{"act":"c","t_url":"…","msg_id":"…","rcpt":"…"}`. Anybody can make such a link: what one says is a claim.
 */
import { inflateSync } from 'node:zlib'
import { isUsableMessageId } from '../record/message-id.ts'
import { isRedirectTarget } from './redirect-target.ts'

/** What a link of the 2020 project claims. */
export interface LegacyLink {
  readonly action: 'open' | 'initial_open' | 'click'
  readonly messageId: string
  /** Absent for pixels. */
  readonly url?: string
  /** Address of the recipient: never logged. */
  readonly recipient: string
}

/** Longest token that is looked at, in characters. */
const legacyTokenCharsMax = 8000
/** What a token may inflate to. */
export const legacyBytesMax = 8192

const actions = { o: 'open', i: 'initial_open', c: 'click' } as const

/** Undefined when the text is no such token, leads nowhere we redirect to, or inflates to more than `legacyBytesMax`. */
export function decodeLegacyToken(text: string): LegacyLink | undefined {
  // Some clients escape the padding.
  const token = text.replaceAll(/%3d/gi, '=')
  if (token.length > legacyTokenCharsMax || !/^e[\w-]+={0,2}$/.test(token)) return undefined
  let claims: unknown
  try {
    const bytes = inflateSync(Buffer.from(token, 'base64url'), { maxOutputLength: legacyBytesMax })
    claims = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
  if (typeof claims !== 'object' || claims === null) return undefined
  const { act, t_url: url, msg_id: messageId, rcpt: recipient } = claims as Record<string, unknown>
  if (act !== 'o' && act !== 'i' && act !== 'c') return undefined
  if (typeof messageId !== 'string' || !isUsableMessageId(messageId)) return undefined
  if (typeof recipient !== 'string' || typeof url !== 'string') return undefined
  if (act === 'c' ? !isRedirectTarget(url) : url !== '') return undefined
  return { action: actions[act], messageId, recipient, ...(act === 'c' && { url }) }
}
