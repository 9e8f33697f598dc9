/**
 * SparkPost's wire form of an event (Events Ingest API): `{"msys":{"<grouping>":{…}}}`, one a line.
 *
 * Numbers that the service documents as strings are strings here: event_id, timestamp, bounce_class, error_code,
 * msg_size, num_retries, queue_time.
 */
import { hash } from 'node:crypto'
import type { MessageRecord } from '../../record/record.ts'
import { cutUtf8 } from '../../text/cut-utf8.ts'
import type { DeliveryEvent, DeliveryType, EngagementEvent, EngagementType, TrackingEvent } from '../event.ts'

/** How a recipient's address is passed on: as it is; as hash and domain; not at all. */
export type RecipientForm = 'full' | 'hash' | 'none'

export interface SparkpostForm {
  readonly recipient: RecipientForm
  /** Whether what the tracker thinks of a request (`is_prefetched`, `is_proxy`, `is_bot`, `bot_reason`) goes along. */
  readonly verdicts: boolean
}

/** Longest `target_link_name`, in bytes of UTF-8. */
const linkNameBytesMax = 63

type Grouping = 'message_event' | 'track_event' | 'unsubscribe_event'

const engagementForms: Readonly<Record<EngagementType, readonly [Grouping, string]>> = {
  initial_open: ['track_event', 'initial_open'],
  open: ['track_event', 'open'],
  click: ['track_event', 'click'],
  amp_initial_open: ['track_event', 'amp_initial_open'],
  amp_open: ['track_event', 'amp_open'],
  amp_click: ['track_event', 'amp_click'],
  list_unsubscribe: ['unsubscribe_event', 'list'],
  link_unsubscribe: ['unsubscribe_event', 'link'],
}

const deliveryTypes: Readonly<Record<DeliveryType, string>> = {
  delivery: 'delivery',
  bounce: 'inband',
  out_of_band: 'outofband',
  delay: 'tempfail',
  spam_complaint: 'feedback',
}

/**
 * One event as a line of the request, without its line end.
 * @param record what is known of the message; undefined when nothing is
 */
export function sparkpostEvent(event: TrackingEvent, record: MessageRecord | undefined, form: SparkpostForm): string {
  const line = isDelivery(event) ? messageEvent(event, record, form) : engagementEvent(event, record, form)
  return JSON.stringify({ msys: line })
}

function isDelivery(event: TrackingEvent): event is DeliveryEvent {
  return Object.hasOwn(deliveryTypes, event.type)
}

function engagementEvent(event: EngagementEvent, record: MessageRecord | undefined, form: SparkpostForm): object {
  const [grouping, type] = engagementForms[event.type]
  const { verdict } = event
  return {
    [grouping]: {
      type,
      ...(grouping === 'unsubscribe_event' && { recv_method: 'esmtp' }),
      ...common(event, record),
      ...recipientFields(record?.recipient, form.recipient),
      ip_address: event.ip,
      geo_ip: event.geo && {
        country: event.geo.country,
        region: event.geo.region,
        city: event.geo.city,
        latitude: event.geo.latitude,
        longitude: event.geo.longitude,
        zip: event.geo.zip,
        postal_code: event.geo.postalCode,
      },
      target_link_url: event.url,
      target_link_name: event.linkName === undefined ? undefined : cutUtf8(event.linkName, linkNameBytesMax),
      user_agent: event.userAgent,
      ...(form.verdicts &&
        verdict && {
          is_prefetched: verdict.prefetched,
          is_proxy: verdict.proxy,
          is_bot: verdict.bot,
          bot_reason: verdict.reason,
        }),
    },
  }
}

function messageEvent(event: DeliveryEvent, record: MessageRecord | undefined, form: SparkpostForm): object {
  const recipient = event.recipient ?? record?.recipient
  const failed = event.type === 'bounce' || event.type === 'out_of_band' || event.type === 'delay'
  return {
    message_event: {
      type: deliveryTypes[event.type],
      recv_method: 'esmtp',
      ...common(event, record, event),
      msg_from: event.sender ?? record?.sender,
      ...recipientFields(recipient, form.recipient),
      routing_domain: recipient === undefined ? undefined : domainOf(recipient),
      sending_ip: event.sourceIp,
      msg_size: decimal(event.messageBytes),
      num_retries: decimal(event.retries),
      queue_time: decimal(event.queueTimeMs),
      ...(failed && {
        bounce_class: decimal(event.bounceClass ?? undeterminedClass),
        error_code: decimal(event.code),
        reason: event.reason,
        raw_reason: event.reason,
      }),
      ...(event.type === 'spam_complaint' && {
        fbtype: event.feedbackType ?? 'abuse',
        report_by: event.reportedBy,
      }),
    },
  }
}

const undeterminedClass = 1

function common(event: TrackingEvent, record: MessageRecord | undefined, own?: DeliveryEvent): object {
  return {
    delv_method: 'esmtp',
    event_id: event.id,
    message_id: event.messageId,
    timestamp: String(Math.floor(event.at / 1000)),
    // 0 is the account itself; without a record nobody knows.
    subaccount_id: own?.subaccount ?? (record && (record.subaccount ?? 0)),
    campaign_id: own?.job ?? record?.job,
  }
}

function recipientFields(address: string | undefined, form: RecipientForm): object {
  if (address === undefined || form === 'none') return {}
  return form === 'full'
    ? { rcpt_to: address }
    : { rcpt_hash: hash('sha1', address, 'base64'), rcpt_domain: domainOf(address) ?? '' }
}

function domainOf(address: string): string | undefined {
  const at = address.lastIndexOf('@')
  return at < 0 ? undefined : address.slice(at + 1).toLowerCase()
}

function decimal(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value)
}
