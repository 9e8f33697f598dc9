/** What the header of a message says of its identity, and what is put on top of it. */
import { readJob, readSubaccount } from '../../record/message-facets.ts'
import { isUsableMessageId, messageIdHeader, uuidHeader } from '../../record/message-id.ts'
import type { HeaderBlock } from '../mime/header-block.ts'
import type { TrackingPlan } from './tracking-plan.ts'

/** Identity and facets that the generator set. Absent members are missing or unusable. */
export interface MessageIdentity {
  readonly messageId?: string
  readonly uuid?: string
  /** `x-job`. */
  readonly job?: string
  /** `x-sp-subaccount-id`. */
  readonly subaccount?: number
}

const messageIdName = messageIdHeader.toLowerCase()
const uuidName = uuidHeader.toLowerCase()
const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Reads what the generator set. Of several fields with one name the first usable one counts. */
export function messageIdentity(header: HeaderBlock): MessageIdentity {
  const messageId = header.all(messageIdName).find(isUsableMessageId)
  const uuid = header.all(uuidName).find(value => uuidForm.test(value))
  const job = readJob(Buffer.from(header.get('x-job') ?? '', 'latin1').toString())
  const subaccount = readSubaccount(header.get('x-sp-subaccount-id') ?? '')
  return {
    ...(messageId !== undefined && { messageId }),
    ...(uuid !== undefined && { uuid }),
    ...(job !== undefined && { job }),
    ...(subaccount !== undefined && { subaccount }),
  }
}

/** The id headers that the message lacks, each with its line end. */
export function identityLines(header: HeaderBlock, plan: TrackingPlan): string {
  const identity = messageIdentity(header)
  return (
    (identity.messageId === undefined ? `${messageIdHeader}: ${plan.messageId}\r\n` : '') +
    (identity.uuid === undefined ? `${uuidHeader}: ${plan.uuid}\r\n` : '')
  )
}

/** Where stamped lines go: on top, but behind a first line that is no header of its own making. */
export function stampPlace(header: HeaderBlock): number {
  const first = header.fields[0]
  // A line that continues nothing would continue ours; an mbox line is only recognised as the first.
  return first !== undefined && /^(?:[ \t]|>*From )/.test(header.text) ? first.end : 0
}

/** RFC 2369 and RFC 8058; empty when the generator set its own, or none is wanted. */
export function listUnsubscribeLines(header: HeaderBlock, plan: TrackingPlan): string {
  const wanted = plan.listUnsubscribe
  if (!wanted || header.has('list-unsubscribe')) return ''
  const uris: string[] = []
  // RFC 8058 asks for https; a tracker without TLS gets the mailto form only.
  const link = wanted.https ? plan.linkFor({ action: 'list_unsubscribe' }) : ''
  const isHttps = link.startsWith('https://')
  if (isHttps) uris.push(`<${link}>`)
  if (wanted.mailto) uris.push(`<mailto:${wanted.mailto}?subject=unsubscribe%20${encodeURIComponent(plan.messageId)}>`)
  if (uris.length === 0) return ''
  const post =
    isHttps && !header.has('list-unsubscribe-post') ? 'List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n' : ''
  return `List-Unsubscribe: ${uris.join(',\r\n\t')}\r\n${post}`
}
