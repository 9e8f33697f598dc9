/**
 * What is remembered of a message for as long as its events are enriched (10 days unless set otherwise).
 *
 * The wrapper writes what it knows when it relays the message, acct_etl what the MTA reports of it. Each writes a record
 * of its own under a key of its own, so that neither has to read before it writes and neither can erase what the other
 * said; readers merge the two.
 */
import { partitionKeys, partitionOf } from '../queue/partition.ts'

export interface MessageRecord {
  readonly recipient?: string
  /** `X-Sendpost-Message-UUID`. */
  readonly uuid?: string
  /** `x-sp-subaccount-id`. */
  readonly subaccount?: number
  /** `x-job`, SparkPost's campaign id. */
  readonly job?: string
  /** Envelope sender. */
  readonly sender?: string
  /** When the MTA took it into its queue, Unix ms. */
  readonly queuedAt?: number
  /** When the MTA delivered it, Unix ms. */
  readonly deliveredAt?: number
}

/** Who wrote a record. */
export type RecordWriter = 'wrapper' | 'accounting'

/** The compact form in Redis: short member names, absent members left out. */
export function encodeRecord(record: MessageRecord): string {
  return JSON.stringify({
    r: record.recipient,
    u: record.uuid,
    s: record.subaccount,
    j: record.job,
    f: record.sender,
    q: record.queuedAt,
    d: record.deliveredAt,
  })
}

/** Longest text that is taken for a record, in characters: many times what wrapper and acct_etl write. */
export const recordCharsMax = 16_384

/** Undefined for a text that is no record. */
export function decodeRecord(text: string): MessageRecord | undefined {
  if (text.length > recordCharsMax) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { r, u, s, j, f, q, d } = value as Record<string, unknown>
  return {
    ...(typeof r === 'string' && { recipient: r }),
    ...(typeof u === 'string' && { uuid: u }),
    ...(typeof s === 'number' && { subaccount: s }),
    ...(typeof j === 'string' && { job: j }),
    ...(typeof f === 'string' && { sender: f }),
    ...(typeof q === 'number' && { queuedAt: q }),
    ...(typeof d === 'number' && { deliveredAt: d }),
  }
}

/** What both writers said of a message; where they differ the MTA is right, for it is later. Undefined when neither spoke. */
export function mergeRecords(
  wrapper: string | null | undefined,
  accounting: string | null | undefined,
): MessageRecord | undefined {
  const first = wrapper ? decodeRecord(wrapper) : undefined
  const second = accounting ? decodeRecord(accounting) : undefined
  return first || second ? { ...first, ...second } : undefined
}

/** The key of a message's record, in the message's partition. */
export function recordKey(writer: RecordWriter, messageId: string, partitions: number): string {
  return recordKeyIn(partitionOf(messageId, partitions), writer, messageId)
}

/** The same where the partition is known. */
export function recordKeyIn(partition: number, writer: RecordWriter, messageId: string): string {
  const keys = partitionKeys(partition)
  return (writer === 'wrapper' ? keys.wrapperRecord : keys.accountingRecord) + messageId
}

/** The message whose record a key of `recordKeyIn` names. */
export function messageIdOf(key: string): string {
  return key.slice(key.indexOf('}') + '}:w:'.length)
}
