/**
 * The one place where a text that was queued or kept becomes an event again. Anything may stand in the queue, so every
 * member is looked at: what comes out is of the type that it says.
 */
import type { DeliveryEvent, DeliveryType, EngagementEvent, EngagementType, TrackingEvent } from './event.ts'

/** An event, or which member of the text is wrong and how; of its content the fault tells nothing. */
export type EventReading = { readonly event: TrackingEvent } | { readonly event?: never; readonly fault: string }

/** Longest text that is taken for an event, in characters: many times what tracker and acct_etl write. */
export const eventCharsMax = 1_048_576

/** What is wrong with a value, to be read behind its name; undefined for a good one. */
type Check = (value: unknown) => string | undefined
type Checks<Type> = { readonly [Name in keyof Type]-?: Check }

const text = expected('a text', value => typeof value === 'string')
const number = expected('a number', value => Number.isFinite(value))
const whole = expected('a whole number from 0', value => Number.isSafeInteger(value) && Number(value) >= 0)
const yes = expected('true', value => value === true)
/** The last moment that has a date, ECMA-262 21.4.1.1. */
const atMax = 8.64e15

/** What every event has. */
const required = {
  id: expected('a decimal number from 0 to 2^63-1', isEventId),
  messageId: expected('1 to 64 visible ASCII characters', value => isText(value) && /^[!-~]{1,64}$/.test(value)),
  at: expected('a time in Unix milliseconds', value => isFiniteNumber(value) && value >= 0 && value <= atMax),
}

const engagement: Checks<EngagementEvent> = {
  ...required,
  type: text,
  ip: text,
  userAgent: text,
  url: text,
  linkName: text,
  verdict: object<NonNullable<EngagementEvent['verdict']>>({
    prefetched: yes,
    proxy: yes,
    bot: yes,
    reason: text,
    repeat: yes,
    device: text,
    os: text,
  }),
  geo: object<NonNullable<EngagementEvent['geo']>>({
    country: text,
    region: text,
    city: text,
    latitude: number,
    longitude: number,
    zip: text,
    postalCode: text,
  }),
}

const delivery: Checks<DeliveryEvent> = {
  ...required,
  type: text,
  recipient: text,
  sender: text,
  subaccount: whole,
  job: text,
  code: whole,
  enhancedStatus: text,
  reason: text,
  bounceClass: whole,
  remoteMta: text,
  sourceIp: text,
  queueTimeMs: whole,
  retries: whole,
  messageBytes: whole,
  feedbackType: text,
  reportedBy: text,
}

const engagementChecks = new Map<string, Check>(Object.entries(engagement))
const deliveryChecks = new Map<string, Check>(Object.entries(delivery))

const checksByType: Readonly<Record<EngagementType | DeliveryType, ReadonlyMap<string, Check>>> = {
  initial_open: engagementChecks,
  open: engagementChecks,
  click: engagementChecks,
  amp_initial_open: engagementChecks,
  amp_open: engagementChecks,
  amp_click: engagementChecks,
  list_unsubscribe: engagementChecks,
  link_unsubscribe: engagementChecks,
  delivery: deliveryChecks,
  bounce: deliveryChecks,
  out_of_band: deliveryChecks,
  delay: deliveryChecks,
  spam_complaint: deliveryChecks,
}

/** The event in a text. Members that no event has, as a later version may write them, are left out of it. */
export function readEvent(json: string): EventReading {
  if (json.length > eventCharsMax) return { fault: `${json.length} characters, at most ${eventCharsMax} are read` }
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return { fault: 'no JSON' }
  }
  if (!isObject(value)) return { fault: 'no JSON object' }
  const { type } = value
  if (!isText(type) || !isKnownType(type)) return { fault: 'type: expected that of an event' }
  const fault = missing(value) ?? faultOf(value, checksByType[type])
  return fault === undefined ? { event: value as unknown as TrackingEvent } : { fault }
}

function missing({ id, messageId, at }: Record<string, unknown>): string | undefined {
  if (id === undefined) return 'id: missing'
  if (messageId === undefined) return 'messageId: missing'
  return at === undefined ? 'at: missing' : undefined
}

/** The first member that is wrong, and how. Takes out the members that are not known. */
function faultOf(value: Record<string, unknown>, checks: ReadonlyMap<string, Check>): string | undefined {
  for (const name in value) {
    const check = checks.get(name)
    const fault = check?.(value[name])
    if (fault !== undefined) return name + fault
    if (check === undefined) delete value[name]
  }
  return undefined
}

function isKnownType(type: string): type is EngagementType | DeliveryType {
  return Object.hasOwn(checksByType, type)
}

function isEventId(value: unknown): boolean {
  return isText(value) && /^(?:0|[1-9]\d{0,18})$/.test(value) && (value.length < 19 || value <= '9223372036854775807')
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function expected(what: string, isGood: (value: unknown) => boolean): Check {
  return value => (isGood(value) ? undefined : `: expected ${what}`)
}

function object<Type>(members: Checks<Type>): Check {
  const checks = new Map<string, Check>(Object.entries(members))
  return value => {
    if (!isObject(value)) return ': expected an object'
    const fault = faultOf(value, checks)
    return fault === undefined ? undefined : `.${fault}`
  }
}
