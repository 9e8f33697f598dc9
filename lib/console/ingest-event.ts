/** One line of a batch for SparkPost Events Ingest: `{"msys":{"<grouping>":{…}}}`. */
import { asObject, type EventVerdict } from './received-event.ts'

/** An event that is this old or older is dropped by the service. */
const eventAgeMsMax = 24 * 3_600_000

/** How far ahead of our clock an event may be before its timestamp is taken for nonsense (milliseconds, for instance). */
const eventAheadMsMax = 24 * 3_600_000

const eventIdMax = 2n ** 63n - 1n

/** The types of each grouping; undefined where the service documents none and any is taken. */
const typesOf: ReadonlyMap<string, ReadonlySet<string> | undefined> = new Map([
  ['message_event', new Set(['reception', 'delivery', 'inband', 'outofband', 'tempfail', 'rejection', 'feedback'])],
  ['gen_event', new Set(['gen_rejection', 'gen_fail'])],
  ['track_event', new Set(['initial_open', 'open', 'click', 'amp_initial_open', 'amp_open', 'amp_click'])],
  ['unsubscribe_event', new Set(['link', 'list'])],
  ['relay_event', undefined],
  ['adaptive_event', undefined],
  ['ab_test_event', undefined],
])

const methods: ReadonlySet<unknown> = new Set(['smtp', 'esmtp', 'rest'])

/** Judges one line as the service documents it. */
export function readIngestEvent(line: string, nowMs: number): EventVerdict {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    return { fault: 'not valid JSON' }
  }
  const wrapper = asObject(parsed)
  const msys = asObject(wrapper?.['msys'])
  if (!wrapper || !msys || Object.keys(wrapper).length !== 1)
    return { fault: 'expected {"msys":{…}} and nothing beside it' }
  const groupings = Object.keys(msys)
  const grouping = groupings[0]
  if (grouping === undefined || groupings.length !== 1) return { fault: 'msys: expected exactly one grouping' }
  if (!typesOf.has(grouping)) return { fault: `msys: unknown grouping ${quote(grouping)}` }
  const fields = asObject(msys[grouping])
  if (!fields) return { fault: `${grouping}: expected an object` }
  const fault = faultOf(grouping, fields, nowMs)
  if (fault !== undefined) return { fault }

  const messageId = textOf(fields['message_id'])
  const recipient = textOf(fields['rcpt_to'])
  return {
    event: {
      source: 'sparkpost',
      type: fields['type'] as string,
      ...(messageId !== undefined && { messageId }),
      ...(recipient !== undefined && { recipient }),
      eventId: BigInt(fields['event_id'] as string),
      at: Number(fields['timestamp']) * 1000,
      body: line.trim(),
    },
  }
}

function faultOf(grouping: string, fields: Readonly<Record<string, unknown>>, nowMs: number): string | undefined {
  const type = fields['type']
  if (typeof type !== 'string' || type === '') return missing('type')
  const types = typesOf.get(grouping)
  if (types && !types.has(type)) return `type: ${quote(type)} does not belong to ${grouping}`
  return (
    faultOfEventId(fields['event_id']) ??
    (grouping === 'gen_event' || textOf(fields['message_id']) !== undefined ? undefined : missing('message_id')) ??
    faultOfTimestamp(fields['timestamp'], nowMs) ??
    faultOfMethod(fields) ??
    faultOfRecipient(fields) ??
    (type === 'feedback' && textOf(fields['fbtype']) === undefined ? missing('fbtype') : undefined)
  )
}

function faultOfEventId(value: unknown): string | undefined {
  if (value === undefined) return missing('event_id')
  if (typeof value !== 'string') return 'event_id: expected a string (a JSON number loses digits)'
  if (!/^\d{1,19}$/.test(value) || BigInt(value) > eventIdMax) {
    return `event_id: expected a decimal number from 0 to ${eventIdMax}`
  }
  return undefined
}

function faultOfTimestamp(value: unknown, nowMs: number): string | undefined {
  if (value === undefined) return missing('timestamp')
  if (typeof value !== 'string' || !/^\d{1,13}$/.test(value)) return 'timestamp: expected Unix seconds as a string'
  const atMs = Number(value) * 1000
  if (nowMs - atMs >= eventAgeMsMax) return 'timestamp: older than 24 hours'
  if (atMs - nowMs > eventAheadMsMax) return 'timestamp: in the future (expected seconds, not milliseconds)'
  return undefined
}

function faultOfMethod(fields: Readonly<Record<string, unknown>>): string | undefined {
  const given = ['recv_method', 'delv_method'].filter(name => fields[name] !== undefined)
  if (given.length === 0) return 'recv_method or delv_method: one of them is required'
  const wrong = given.find(name => !methods.has(fields[name]))
  return wrong === undefined ? undefined : `${wrong}: expected smtp, esmtp or rest`
}

function faultOfRecipient(fields: Readonly<Record<string, unknown>>): string | undefined {
  if (fields['rcpt_to'] !== undefined && typeof fields['rcpt_to'] !== 'string') return 'rcpt_to: expected a string'
  const [hash, domain] = [fields['rcpt_hash'], fields['rcpt_domain']]
  if (hash !== undefined && domain === undefined) return 'rcpt_domain: required beside rcpt_hash'
  if (hash === undefined && domain !== undefined) return 'rcpt_hash: required beside rcpt_domain'
  if (fields['subaccount_id'] !== undefined && typeof fields['subaccount_id'] !== 'number') {
    return 'subaccount_id: expected a number'
  }
  return undefined
}

function missing(name: string): string {
  return `${name}: required`
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A name from outside, short and safe to print. */
function quote(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name)
}
