import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { readIngestEvent } from './ingest-event.ts'

const now = Date.parse('2026-02-19T12:00:00Z')
const seconds = (ms: number) => String(Math.floor(ms / 1000))

const click: Readonly<Record<string, unknown>> = {
  type: 'click',
  delv_method: 'esmtp',
  event_id: '3189164043070052773',
  message_id: '00008a67385e4e6d9e27',
  rcpt_to: 'ann@example.com',
  timestamp: seconds(now - 60_000),
  target_link_url: 'https://example.com/',
  subaccount_id: 7,
}

function line(fields: Readonly<Record<string, unknown>>, grouping = 'track_event'): string {
  return JSON.stringify({ msys: { [grouping]: { ...click, ...fields } } })
}

function faultOf(text: string): string | undefined {
  const verdict = readIngestEvent(text, now)
  return 'fault' in verdict ? verdict.fault : undefined
}

test('readIngestEvent takes a click and keeps its text as it came', () => {
  const text = line({})
  const verdict = readIngestEvent(` ${text}\r`, now)
  assert.deepEqual(verdict, {
    event: {
      source: 'sparkpost',
      type: 'click',
      messageId: '00008a67385e4e6d9e27',
      recipient: 'ann@example.com',
      eventId: 3189164043070052773n,
      at: now - 60_000,
      body: text,
    },
  })
})

const pairs: readonly (readonly [string, readonly string[]])[] = [
  ['message_event', ['reception', 'delivery', 'inband', 'outofband', 'tempfail', 'rejection', 'feedback']],
  ['gen_event', ['gen_rejection', 'gen_fail']],
  ['track_event', ['initial_open', 'open', 'click', 'amp_initial_open', 'amp_open', 'amp_click']],
  ['unsubscribe_event', ['link', 'list']],
  ['relay_event', ['relay_injection']],
]

for (const [grouping, types] of pairs) {
  for (const type of types) {
    test(`readIngestEvent takes ${type} in ${grouping}`, () => {
      assert.equal(faultOf(line({ type, fbtype: 'abuse' }, grouping)), undefined)
    })
  }
}

test('readIngestEvent takes the extremes of event_id', () => {
  assert.equal(faultOf(line({ event_id: '0' })), undefined)
  assert.equal(faultOf(line({ event_id: '9223372036854775807' })), undefined)
})

test('readIngestEvent takes an event until it is 24 hours old', () => {
  assert.equal(faultOf(line({ timestamp: seconds(now - 24 * 3_600_000 + 1000) })), undefined)
  assert.match(faultOf(line({ timestamp: seconds(now - 24 * 3_600_000) })) ?? '', /older than 24 hours/)
})

test('readIngestEvent takes a hashed recipient with its domain', () => {
  const verdict = readIngestEvent(line({ rcpt_to: undefined, rcpt_hash: 'aGFzaA==', rcpt_domain: 'example.com' }), now)
  assert.ok('event' in verdict)
  assert.equal(verdict.event.recipient, undefined)
})

const faults: readonly (readonly [what: string, text: string, fault: RegExp])[] = [
  ['text that is not JSON', '{"msys":', /not valid JSON/],
  ['no object', '[]', /expected \{"msys"/],
  ['null', 'null', /expected \{"msys"/],
  ['an empty object', '{}', /expected \{"msys"/],
  ['something beside msys', '{"msys":{"track_event":{}},"x":1}', /nothing beside/],
  ['msys without a grouping', '{"msys":{}}', /exactly one grouping/],
  ['two groupings', '{"msys":{"track_event":{},"message_event":{}}}', /exactly one grouping/],
  ['an unknown grouping', '{"msys":{"weird_event":{}}}', /unknown grouping "weird_event"/],
  ['a grouping named like a property of every object', '{"msys":{"constructor":{}}}', /unknown grouping/],
  ['a grouping that holds a list', '{"msys":{"track_event":[]}}', /track_event: expected an object/],
  ['no type', line({ type: undefined }), /^type: required/],
  ['a type of another grouping', line({ type: 'delivery' }), /type: "delivery" does not belong to track_event/],
  ['the name that the Events API uses instead', line({ type: 'bounce' }, 'message_event'), /type: "bounce"/],
  ['no event_id', line({ event_id: undefined }), /^event_id: required/],
  ['a number as event_id', line({ event_id: 12 }), /event_id: expected a string/],
  ['an event_id that is negative', line({ event_id: '-1' }), /event_id: expected a decimal/],
  [
    'an event_id that is a UUID',
    line({ event_id: '6f1e5a1e-5b1f-4a2c-9d60-9f7e3f1c2b11' }),
    /event_id: expected a decimal/,
  ],
  ['an event_id of 2^63', line({ event_id: '9223372036854775808' }), /event_id: expected a decimal/],
  ['an empty event_id', line({ event_id: '' }), /event_id: expected a decimal/],
  ['no message_id', line({ message_id: undefined }), /^message_id: required/],
  ['an empty message_id', line({ message_id: '' }), /^message_id: required/],
  ['a number as message_id', line({ message_id: 5 }), /^message_id: required/],
  ['no timestamp', line({ timestamp: undefined }), /^timestamp: required/],
  ['a number as timestamp', line({ timestamp: 1771502400 }), /timestamp: expected Unix seconds as a string/],
  ['an RFC 3339 timestamp', line({ timestamp: '2026-02-19T12:00:00Z' }), /timestamp: expected Unix seconds/],
  ['a timestamp in milliseconds', line({ timestamp: String(now) }), /in the future \(expected seconds/],
  ['no method', line({ delv_method: undefined }), /recv_method or delv_method/],
  ['an unknown method', line({ delv_method: 'pigeon' }), /delv_method: expected smtp, esmtp or rest/],
  ['a hash without its domain', line({ rcpt_hash: 'x' }), /rcpt_domain: required/],
  ['a domain without its hash', line({ rcpt_domain: 'x' }), /rcpt_hash: required/],
  ['a list as rcpt_to', line({ rcpt_to: ['a@b.example'] }), /rcpt_to: expected a string/],
  ['a text as subaccount_id', line({ subaccount_id: '7' }), /subaccount_id: expected a number/],
  ['a complaint without its kind', line({ type: 'feedback' }, 'message_event'), /^fbtype: required/],
]

for (const [what, text, fault] of faults) {
  test(`readIngestEvent refuses ${what}`, () => assert.match(faultOf(text) ?? 'no fault', fault))
}

test('readIngestEvent takes events of the generator without a message id', () => {
  assert.equal(faultOf(line({ type: 'gen_fail', message_id: undefined }, 'gen_event')), undefined)
})

test('readIngestEvent never throws, whatever the line', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), text => void readIngestEvent(text, now)))
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...Object.keys(click)), fc.jsonValue()), fields => {
      readIngestEvent(line(fields), now)
    }),
  )
})
