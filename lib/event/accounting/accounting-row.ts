/** What rows of PowerMTA's accounting say: the record of a message, or the outcome of a delivery. */
import { derivedEventId } from '../event-id.ts'
import type { DeliveryEvent } from '../event.ts'
import type { AccountingColumns } from '../powermta/accounting-columns.ts'
import { accountingTime } from '../powermta/accounting-time.ts'
import { bounceCategory } from '../powermta/bounce-category.ts'
import { deliveryType, isRecordType } from '../powermta/record-type.ts'
import { remoteReply } from '../powermta/remote-reply.ts'
import { readJob, readSubaccount } from '../../record/message-facets.ts'
import { isUsableMessageId, messageIdHeader, uuidHeader } from '../../record/message-id.ts'
import type { MessageRecord } from '../../record/record.ts'
import { bounceClass } from './bounce-class.ts'

/** What a row comes to. */
export type RowReading =
  | { readonly kind: 'record'; readonly messageId: string; readonly record: MessageRecord }
  /** Nothing for the records: another type, or mail that is not tracked. */
  | { readonly kind: 'skipped'; readonly reason: 'type' | 'no-message-id' }
  | { readonly kind: 'bad'; readonly reason: string }

export type EventReading =
  | { readonly kind: 'event'; readonly event: DeliveryEvent }
  | { readonly kind: 'skipped' }
  | { readonly kind: 'bad'; readonly reason: string }

/** Longest address that is kept of a sender. */
const senderCharsMax = 512
const reasonCharsMax = 1_024

type Field = (row: readonly string[]) => string

export class AccountingRowReader {
  readonly columns: AccountingColumns
  readonly #messageId: Field
  readonly #uuid: Field
  readonly #subaccount: Field
  readonly #job: readonly Field[]
  readonly #orig: Field
  readonly #timeLogged: Field
  readonly #timeQueued: Field

  constructor(columns: AccountingColumns) {
    this.columns = columns
    this.#messageId = columns.field(`header_${messageIdHeader}`)
    this.#uuid = columns.field(`header_${uuidHeader}`)
    this.#subaccount = columns.field('header_x-sp-subaccount-id')
    this.#job = [columns.field('header_x-job'), columns.field('jobId')]
    this.#orig = columns.field('orig')
    this.#timeLogged = columns.field('timeLogged')
    this.#timeQueued = columns.field('timeQueued')
  }

  /** What a row says of its message. */
  record(row: readonly string[]): RowReading {
    const type = this.columns.type(row)
    if (type !== 'd' && type !== 'r') return this.#checkType(type)
    const flaw = this.#flaw(row)
    if (flaw !== undefined) return { kind: 'bad', reason: flaw }
    const messageId = this.#messageId(row).trim()
    if (messageId === '') return { kind: 'skipped', reason: 'no-message-id' }
    const recipient = this.columns.recipient(row)
    const uuid = this.#uuid(row).trim()
    const sender = this.#orig(row)
    const job = this.#jobOf(row)
    const subaccount = readSubaccount(this.#subaccount(row))
    const queuedAt = accountingTime(type === 'r' ? this.#timeLogged(row) : this.#timeQueued(row))
    const deliveredAt = type === 'd' ? accountingTime(this.#timeLogged(row)) : undefined
    const record: MessageRecord = {
      ...(recipient !== '' && { recipient }),
      ...(uuid !== '' && uuid.length <= 64 && { uuid }),
      ...(subaccount !== undefined && { subaccount }),
      ...(job !== undefined && { job }),
      ...(sender !== '' && sender.length <= senderCharsMax && { sender }),
      ...(queuedAt !== undefined && { queuedAt }),
      ...(deliveredAt !== undefined && { deliveredAt }),
    }
    return { kind: 'record', messageId, record }
  }

  /**
   * What a row says of a delivery.
   * @param text the record as it stood in the input: the event's id derives from it, so that reading it again gives the
   *   same event
   */
  event(row: readonly string[], text: string, nowMs: number): EventReading {
    const type = deliveryType(this.columns.type(row))
    if (type === undefined) return { kind: 'skipped' }
    const flaw = this.#flaw(row)
    if (flaw !== undefined) return { kind: 'bad', reason: flaw }
    const messageId = this.#messageId(row).trim()
    if (messageId === '') return { kind: 'skipped' }
    const at = accountingTime(this.#timeLogged(row)) ?? nowMs
    const field = (name: string) => this.columns.value(row, name)
    const recipient = this.columns.recipient(row)
    const sender = this.#orig(row)
    const job = this.#jobOf(row)
    const subaccount = readSubaccount(this.#subaccount(row))
    const { code, enhancedStatus, text: reason } = remoteReply(field('dsnDiag'), field('dsnStatus'))
    const remoteMta = field('dsnMta').replace(/ \(.*$/s, '')
    const sourceIp = field('dlvSourceIp')
    const queuedAt = accountingTime(this.#timeQueued(row))
    const size = field('dlvSize')
    const reporter = field('reportingMta') || field('reportedDomain')
    const feedbackType = field('feedbackType')
    const failed = type === 'bounce' || type === 'delay' || type === 'out_of_band'
    return {
      kind: 'event',
      event: {
        id: derivedEventId(text),
        type,
        messageId,
        at,
        ...(recipient !== '' && { recipient }),
        ...(sender !== '' && sender.length <= senderCharsMax && { sender }),
        ...(subaccount !== undefined && { subaccount }),
        ...(job !== undefined && { job }),
        ...(code !== undefined && { code }),
        ...(enhancedStatus !== undefined && { enhancedStatus }),
        ...(reason !== '' && { reason: reason.slice(0, reasonCharsMax) }),
        ...(failed && { bounceClass: bounceClass(bounceCategory(field('bounceCat')), type === 'delay') }),
        ...(remoteMta !== '' && { remoteMta: remoteMta.slice(0, 255) }),
        ...(sourceIp !== '' && { sourceIp: sourceIp.slice(0, 64) }),
        ...(queuedAt !== undefined && at >= queuedAt && { queueTimeMs: at - queuedAt }),
        ...(/^\d{1,12}$/.test(size) && { messageBytes: Number(size) }),
        ...(type === 'spam_complaint' && feedbackType !== '' && { feedbackType: feedbackType.slice(0, 64) }),
        ...(type === 'spam_complaint' && reporter !== '' && { reportedBy: reporter.slice(0, 255) }),
      },
    }
  }

  #checkType(type: string): RowReading {
    if (isRecordType(type)) return { kind: 'skipped', reason: 'type' }
    return { kind: 'bad', reason: 'no record type' }
  }

  /** What makes a row unfit to be believed. */
  #flaw(row: readonly string[]): string | undefined {
    const { columns } = this
    const flaw = columns.flaw(row)
    if (flaw !== undefined) return flaw
    const messageId = this.#messageId(row).trim()
    if (messageId !== '' && !isUsableMessageId(messageId)) return `no usable ${messageIdHeader}`
    if (columns.recipient(row) === '' && columns.type(row) === 'd' && columns.has('rcpt')) return 'no recipient'
    return undefined
  }

  #jobOf(row: readonly string[]): string | undefined {
    for (const field of this.#job) {
      const job = readJob(field(row))
      if (job !== undefined) return job
    }
    return undefined
  }
}
