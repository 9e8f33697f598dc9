/** The body of SendPost's custom-SMTP event ingestion: `{"events":[{message_id, event_type, …}]}`. */
import { asObject, type EventVerdict, type ReceivedEvent } from './received-event.ts'
import { parseRfc3339 } from './rfc3339.ts'

/** The outcomes that the service takes. */
const customSmtpEventTypes: ReadonlySet<unknown> = new Set(['delivered', 'bounced', 'deferred', 'soft_bounced'])

/** Either all events of a request, or what is wrong with the first bad one: the request is taken as a whole or not. */
export type CustomSmtpVerdict = { readonly events: readonly ReceivedEvent[] } | { readonly fault: string }

/** Members that the console adds to a stored event, and that a sender therefore can't set. */
const ours: ReadonlySet<string> = new Set(['seq', 'source', 'received', 'type', 'at', 'event_id', 'batch'])

export function readCustomSmtpEvents(body: string): CustomSmtpVerdict {
  if (body.trim() === '') return { fault: 'the body is empty: expected {"events":[…]}' }
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return { fault: 'the body is not valid JSON: expected {"events":[…]}' }
  }
  const list = asObject(parsed)?.['events']
  if (!Array.isArray(list)) return { fault: 'events: required, an array of events' }
  if (list.length === 0) return { fault: 'events: no events' }
  const events: ReceivedEvent[] = []
  for (const [index, item] of list.entries()) {
    const verdict = readCustomSmtpEvent(item)
    if ('fault' in verdict) return { fault: `events[${index}]${verdict.fault}` }
    events.push(verdict.event)
  }
  return { events }
}

function readCustomSmtpEvent(item: unknown): EventVerdict {
  const fields = asObject(item)
  if (!fields) return { fault: ': expected an object' }
  const { message_id: messageId, event_type: type, timestamp, smtp_code: code, recipient } = fields
  if (typeof messageId !== 'string' || messageId === '') return { fault: '.message_id: required' }
  if (type === undefined || type === null || type === '') return { fault: '.event_type: required' }
  if (typeof type !== 'string' || !customSmtpEventTypes.has(type)) {
    return { fault: `.event_type: expected one of ${[...customSmtpEventTypes].join(', ')}` }
  }
  const at = typeof timestamp === 'string' ? parseRfc3339(timestamp) : undefined
  if (given(timestamp) && at === undefined)
    return { fault: '.timestamp: expected RFC 3339, as in 2026-02-19T12:00:00Z' }
  if (given(code) && !Number.isSafeInteger(code)) return { fault: '.smtp_code: expected a whole number' }
  for (const name of ['smtp_description', 'recipient']) {
    if (given(fields[name]) && typeof fields[name] !== 'string') return { fault: `.${name}: expected a string` }
  }
  return {
    event: {
      source: 'sendpost',
      type,
      messageId,
      ...(typeof recipient === 'string' && recipient !== '' && { recipient }),
      ...(at !== undefined && { at }),
      body: JSON.stringify(Object.fromEntries(Object.entries(fields).filter(([name]) => !ours.has(name)))),
    },
  }
}

function given(value: unknown): boolean {
  return value !== undefined && value !== null
}
