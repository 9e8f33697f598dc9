import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { readCustomSmtpEvents } from './custom-smtp-events.ts'

const delivered = {
  message_id: '6f1e5a1e-5b1f-4a2c-9d60-9f7e3f1c2b11',
  event_type: 'delivered',
  timestamp: '2026-02-19T12:00:00Z',
  smtp_code: 250,
  smtp_description: 'OK',
  recipient: 'user@example.com',
}

function faultOf(body: string): string | undefined {
  const verdict = readCustomSmtpEvents(body)
  return 'fault' in verdict ? verdict.fault : undefined
}

function faultOfEvent(fields: Readonly<Record<string, unknown>>): string | undefined {
  return faultOf(JSON.stringify({ events: [delivered, { ...delivered, ...fields }] }))
}

test('readCustomSmtpEvents takes an event with all its members', () => {
  assert.deepEqual(readCustomSmtpEvents(JSON.stringify({ events: [delivered] })), {
    events: [
      {
        source: 'sendpost',
        type: 'delivered',
        messageId: delivered.message_id,
        recipient: delivered.recipient,
        at: Date.parse(delivered.timestamp),
        body: JSON.stringify(delivered),
      },
    ],
  })
})

for (const type of ['delivered', 'bounced', 'deferred', 'soft_bounced']) {
  test(`readCustomSmtpEvents takes ${type} with nothing but what is required`, () => {
    const verdict = readCustomSmtpEvents(JSON.stringify({ events: [{ message_id: 'x', event_type: type }] }))
    assert.deepEqual(verdict, {
      events: [{ source: 'sendpost', type, messageId: 'x', body: `{"message_id":"x","event_type":"${type}"}` }],
    })
  })
}

test('readCustomSmtpEvents takes null for a member that is optional', () => {
  assert.equal(faultOfEvent({ timestamp: null, smtp_code: null, smtp_description: null, recipient: null }), undefined)
})

test('readCustomSmtpEvents keeps what is unknown, but for the names that the console gives itself', () => {
  const verdict = readCustomSmtpEvents(
    JSON.stringify({
      events: [{ message_id: 'x', event_type: 'bounced', mta: 'mx1', seq: 9, source: 'liar', received: 1 }],
    }),
  )
  assert.ok('events' in verdict)
  assert.equal(verdict.events[0]?.body, '{"message_id":"x","event_type":"bounced","mta":"mx1"}')
})

const faults: readonly (readonly [what: string, body: string, fault: RegExp])[] = [
  ['an empty body', '', /the body is empty/],
  ['a blank body', ' \r\n', /the body is empty/],
  ['a body that is not JSON', '{"events":[', /not valid JSON/],
  ['a list', '[]', /^events: required/],
  ['null', 'null', /^events: required/],
  ['no events member', '{}', /^events: required/],
  ['events that are no list', '{"events":{}}', /^events: required/],
  ['no events', '{"events":[]}', /no events/],
  ['an event that is no object', '{"events":["x"]}', /^events\[0\]: expected an object/],
  ['an event that is null', '{"events":[null]}', /^events\[0\]: expected an object/],
]

for (const [what, body, fault] of faults) {
  test(`readCustomSmtpEvents refuses ${what}`, () => assert.match(faultOf(body) ?? 'no fault', fault))
}

const eventFaults: readonly (readonly [what: string, fields: Readonly<Record<string, unknown>>, fault: RegExp])[] = [
  ['no message_id', { message_id: undefined }, /^events\[1\]\.message_id: required/],
  ['an empty message_id', { message_id: '' }, /^events\[1\]\.message_id: required/],
  ['a number as message_id', { message_id: 1 }, /^events\[1\]\.message_id: required/],
  ['no event_type', { event_type: undefined }, /^events\[1\]\.event_type: required/],
  ['an unknown event_type', { event_type: 'opened' }, /^events\[1\]\.event_type: expected one of delivered, bounced/],
  ['an event_type in capitals', { event_type: 'Delivered' }, /^events\[1\]\.event_type: expected one of/],
  ['a timestamp in Unix seconds', { timestamp: 1771502400 }, /^events\[1\]\.timestamp: expected RFC 3339/],
  ['a timestamp without its zone', { timestamp: '2026-02-19T12:00:00' }, /^events\[1\]\.timestamp: expected RFC 3339/],
  ['an empty timestamp', { timestamp: '' }, /^events\[1\]\.timestamp: expected RFC 3339/],
  ['a text as smtp_code', { smtp_code: '250' }, /^events\[1\]\.smtp_code: expected a whole number/],
  ['a number as smtp_description', { smtp_description: 5 }, /^events\[1\]\.smtp_description: expected a string/],
  ['a list as recipient', { recipient: [] }, /^events\[1\]\.recipient: expected a string/],
]

for (const [what, fields, fault] of eventFaults) {
  test(`readCustomSmtpEvents refuses ${what} and names the event`, () => {
    assert.match(faultOfEvent(fields) ?? 'no fault', fault)
  })
}

test('readCustomSmtpEvents never throws, whatever the body', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), body => void readCustomSmtpEvents(body)))
  fc.assert(
    fc.property(fc.array(fc.dictionary(fc.constantFrom(...Object.keys(delivered)), fc.jsonValue())), events => {
      readCustomSmtpEvents(JSON.stringify({ events }))
    }),
  )
})
