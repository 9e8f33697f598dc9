import assert from 'node:assert/strict'
import { test } from 'node:test'
import { payloadBytesMax } from '../../durable/segment-record.ts'
import type { ApiEvent } from './api-event.ts'
import { descriptionBytesMax } from './kept-description.ts'
import { lineBytesMax } from './log-source.ts'
import { decodePending, encodePending, eventsOfRecord } from './pending-record.ts'

const eventOf = (recipient: string, description: string): ApiEvent => ({
  message_id: '11111111-1111-4111-8111-111111111111',
  event_type: 'deferred',
  timestamp: '2026-11-21T12:00:00.123456Z',
  smtp_code: 450,
  smtp_description: description,
  recipient,
})
const event = (recipient: string, description: string) => JSON.stringify(eventOf(recipient, description))

/** Writes events as records and reads them back. */
function records(events: readonly string[], countMax: number) {
  const found = events.map((one, number) => ({ event: one, origin: `A${number} <"€>` }))
  const read = ['/var/log/mail.log', { lines: 7, place: { offset: 1 } }] as const
  const all: Buffer[] = []
  for (let from = 0; from < events.length;) {
    const part = found.slice(from, from + eventsOfRecord(found, from, countMax))
    from += part.length
    const [stored, origins] = [part.map(one => one.event), part.map(one => one.origin)]
    all.push(Buffer.from(encodePending({ events: stored, origins, ...(from === events.length && { read }) })))
  }
  return { all, decoded: all.map(payload => decodePending(payload, { withOrigins: true })), read }
}

test('records of pending events come back as they were, no more events in one than asked for', () => {
  const events = Array.from({ length: 25 }, (_, number) => event(`r${number}@example.com`, '450 4.2.1 später “x” \\'))
  const { decoded, read } = records(events, 10)
  assert.deepEqual(
    decoded.flatMap(record => record.events),
    events,
  )
  assert.deepEqual(
    decoded.map(record => record.events.length),
    [10, 10, 5],
  )
  assert.deepEqual(decoded[2]?.origins?.[4], 'A24 <"€>')
  assert.deepEqual(decoded[2]?.read, read)
  assert.equal(decoded[1]?.read, undefined)
})

test('the origins are one text in a record: V8 keeps short texts that JSON holds in a table of its own', () => {
  const [record] = records([event('r@example.com', '250 ok')], 10).all
  const { o } = JSON.parse(record!.toString().split('\n')[0]!) as { o: unknown }
  assert.equal(typeof o, 'string')
  assert.equal(decodePending(record!).origins, undefined)
})

test('records fit into the log of pending events, however long the texts are', () => {
  // Each character becomes six bytes of JSON.
  const worst = event('\u0001'.repeat(lineBytesMax), '\u0001'.repeat(descriptionBytesMax))
  const events = [...Array.from({ length: 300 }, () => event('r@example.com', 'x'.repeat(4096))), worst, worst, worst]
  const { all, decoded } = records(events, 1000)
  for (const payload of all) assert.ok(payload.length < payloadBytesMax, `${payload.length} bytes`)
  assert.deepEqual(
    decoded.flatMap(record => record.events),
    events,
  )
})

test('records of earlier versions, with the events in one JSON, are read', () => {
  const events = [eventOf('r@example.com', '250 ok'), eventOf('später@example.com', '\n')]
  const payload = Buffer.from(JSON.stringify({ e: events, o: ['a', 'b'], p: ['log', { lines: 1, place: null }] }))
  const { events: found, origins, read } = decodePending(payload, { withOrigins: true })
  assert.deepEqual(
    found.map(text => JSON.parse(text) as unknown),
    events,
  )
  assert.deepEqual(
    [origins, read],
    [
      ['a', 'b'],
      ['log', { lines: 1, place: null }],
    ],
  )
  for (const none of ['', '[]', '{"e":1}', 'x\n{}']) assert.deepEqual(decodePending(Buffer.from(none)).events, [])
})
