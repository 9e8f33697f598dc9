/** What rows of PowerMTA's accounting say: the record of a message, or the outcome of a delivery. */
import { derivedEventId } from '../event-id.ts'
import type { DeliveryEvent, DeliveryType } from '../event.ts'
import { readJob, readSubaccount } from '../../record/message-facets.ts'
import { isUsableMessageId, messageIdHeader, uuidHeader } from '../../record/message-id.ts'
import type { MessageRecord } from '../../record/record.ts'
import type { AccountingColumns } from './accounting-columns.ts'
import { accountingTime } from './accounting-time.ts'
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

/** Longest address, RFC 5321 §4.5.3.1, with room for UTF-8. */
const addressCharsMax = 512
const reasonCharsMax = 1_024

/** PowerMTA's record type → event. The types `r` (received) and `rs` (remote status) mean none. */
const eventTypes: ReadonlyMap<string, DeliveryType> = new Map([
  ['d', 'delivery'],
  ['b', 'bounce'],
  ['t', 'delay'],
  ['tq', 'delay'],
  ['rb', 'out_of_band'],
  ['f', 'spam_complaint'],
])

type Field = (row: readonly string[]) => string

export class AccountingRowReader {
  readonly columns: AccountingColumns
  readonly #type: Field
  readonly #messageId: Field
  readonly #uuid: Field
  readonly #subaccount: Field
  readonly #job: readonly Field[]
  readonly #rcpt: Field
  readonly #orig: Field
  readonly #timeLogged: Field
  readonly #timeQueued: Field

  constructor(columns: AccountingColumns) {
    this.columns = columns
    this.#type = columns.field('type')
    this.#messageId = columns.field(`header_${messageIdHeader}`)
    this.#uuid = columns.field(`header_${uuidHeader}`)
    this.#subaccount = columns.field('header_x-sp-subaccount-id')
    this.#job = [columns.field('header_x-job'), columns.field('jobId')]
    this.#rcpt = columns.field('rcpt')
    this.#orig = columns.field('orig')
    this.#timeLogged = columns.field('timeLogged')
    this.#timeQueued = columns.field('timeQueued')
  }

  /** What a row says of its message. */
  record(row: readonly string[]): RowReading {
    const type = this.#typeOf(row)
    if (type !== 'd' && type !== 'r') return this.#checkType(type)
    const flaw = this.#flaw(row)
    if (flaw !== undefined) return { kind: 'bad', reason: flaw }
    const messageId = this.#messageId(row).trim()
    if (messageId === '') return { kind: 'skipped', reason: 'no-message-id' }
    const recipient = this.#rcpt(row)
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
      ...(sender !== '' && sender.length <= addressCharsMax && { sender }),
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
    const type = eventTypes.get(this.#typeOf(row))
    if (type === undefined) return { kind: 'skipped' }
    const flaw = this.#flaw(row)
    if (flaw !== undefined) return { kind: 'bad', reason: flaw }
    const messageId = this.#messageId(row).trim()
    if (messageId === '') return { kind: 'skipped' }
    const at = accountingTime(this.#timeLogged(row)) ?? nowMs
    const { field } = this
    const recipient = this.#rcpt(row)
    const sender = this.#orig(row)
    const job = this.#jobOf(row)
    const subaccount = readSubaccount(this.#subaccount(row))
    const diagnostic = field('dsnDiag', row)
    const status = field('dsnStatus', row)
    const code = /^(?:[a-z-]+;\s*)?(\d{3})(?:[\s-]|$)/i.exec(diagnostic)?.[1]
    const enhanced = /^[245]\.\d{1,3}\.\d{1,3}/.exec(status)?.[0]
    const reason = (diagnostic.replace(/^[a-z-]+;\s*/i, '') || status).slice(0, reasonCharsMax)
    const remoteMta = field('dsnMta', row).replace(/ \(.*$/s, '')
    const sourceIp = field('dlvSourceIp', row)
    const queuedAt = accountingTime(this.#timeQueued(row))
    const size = field('dlvSize', row)
    const reporter = field('reportingMta', row) || field('reportedDomain', row)
    const feedbackType = field('feedbackType', row)
    const failed = type === 'bounce' || type === 'delay' || type === 'out_of_band'
    return {
      kind: 'event',
      event: {
        id: derivedEventId(text),
        type,
        messageId,
        at,
        ...(recipient !== '' && { recipient }),
        ...(sender !== '' && sender.length <= addressCharsMax && { sender }),
        ...(subaccount !== undefined && { subaccount }),
        ...(job !== undefined && { job }),
        ...(code !== undefined && { code: Number(code) }),
        ...(enhanced !== undefined && { enhancedStatus: enhanced }),
        ...(reason !== '' && { reason }),
        ...(failed && { bounceClass: bounceClass(field('bounceCat', row), type === 'delay') }),
        ...(remoteMta !== '' && { remoteMta: remoteMta.slice(0, 255) }),
        ...(sourceIp !== '' && { sourceIp: sourceIp.slice(0, 64) }),
        ...(queuedAt !== undefined && at >= queuedAt && { queueTimeMs: at - queuedAt }),
        ...(/^\d{1,12}$/.test(size) && { messageBytes: Number(size) }),
        ...(type === 'spam_complaint' && feedbackType !== '' && { feedbackType: feedbackType.slice(0, 64) }),
        ...(type === 'spam_complaint' && reporter !== '' && { reportedBy: reporter.slice(0, 255) }),
      },
    }
  }

  readonly #fields = new Map<string, Field>()

  /** Columns that only events need are looked up when first asked for. */
  readonly field = (name: string, row: readonly string[]): string => {
    let field = this.#fields.get(name)
    if (!field) {
      field = this.columns.field(name)
      this.#fields.set(name, field)
    }
    return field(row)
  }

  #checkType(type: string): RowReading {
    if (/^[a-z]{1,2}$/.test(type)) return { kind: 'skipped', reason: 'type' }
    return { kind: 'bad', reason: 'no record type' }
  }

  /** What makes a row unfit to be believed. */
  #flaw(row: readonly string[]): string | undefined {
    const { length } = this.columns.names
    if (row.length !== length) return `${row.length} fields, the header line has ${length}`
    const messageId = this.#messageId(row).trim()
    if (messageId !== '' && !isUsableMessageId(messageId)) return `no usable ${messageIdHeader}`
    const recipient = this.#rcpt(row)
    if (recipient === '' && this.columns.has('rcpt') && this.#typeOf(row) === 'd') return 'no recipient'
    if (recipient.length > addressCharsMax || /\p{Cc}/u.test(recipient)) return 'the recipient is no address'
    return undefined
  }

  #typeOf(row: readonly string[]): string {
    return this.#type(row).trim().toLowerCase()
  }

  #jobOf(row: readonly string[]): string | undefined {
    for (const field of this.#job) {
      const job = readJob(field(row))
      if (job !== undefined) return job
    }
    return undefined
  }
}
