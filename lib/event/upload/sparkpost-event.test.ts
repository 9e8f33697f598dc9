import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { TrackingEvent } from '../event.ts'
import { sparkpostEvent } from './sparkpost-event.ts'

const form = { recipient: 'full', verdicts: true } as const
const base = { id: '9223372036854775807', messageId: '0000123456789abcdef0', at: 1_580_753_393_999 }
const record = { recipient: 'bob@Example.com', subaccount: 3, job: 'spring', sender: 'news@example.com' }

function fields(
  event: TrackingEvent,
  known: Parameters<typeof sparkpostEvent>[1] | 'nothing' = record,
  as: Parameters<typeof sparkpostEvent>[2] = form,
) {
  const line = sparkpostEvent(event, known === 'nothing' ? undefined : known, as)
  assert.ok(!line.includes('\n'))
  const { msys } = JSON.parse(line) as { msys: Record<string, Record<string, unknown>> }
  const [grouping] = Object.entries(msys)
  assert.ok(grouping && Object.keys(msys).length === 1)
  return { grouping: grouping[0], ...grouping[1] } as Record<string, unknown>
}

test('every type has its grouping and its name on the wire', () => {
  const expected: Record<string, [string, string]> = {
    open: ['track_event', 'open'],
    initial_open: ['track_event', 'initial_open'],
    click: ['track_event', 'click'],
    amp_open: ['track_event', 'amp_open'],
    amp_initial_open: ['track_event', 'amp_initial_open'],
    amp_click: ['track_event', 'amp_click'],
    list_unsubscribe: ['unsubscribe_event', 'list'],
    link_unsubscribe: ['unsubscribe_event', 'link'],
    delivery: ['message_event', 'delivery'],
    bounce: ['message_event', 'inband'],
    out_of_band: ['message_event', 'outofband'],
    delay: ['message_event', 'tempfail'],
    spam_complaint: ['message_event', 'feedback'],
  }
  for (const [type, [grouping, wire]] of Object.entries(expected)) {
    const sent = fields({ ...base, type } as TrackingEvent)
    assert.equal(sent['grouping'], grouping)
    assert.equal(sent['type'], wire)
    assert.equal(sent['delv_method'], 'esmtp')
    assert.equal(sent['event_id'], base.id)
    assert.equal(sent['message_id'], base.messageId)
    assert.equal(sent['timestamp'], '1580753393')
    assert.equal(sent['rcpt_to'], 'bob@Example.com')
    assert.equal(sent['subaccount_id'], 3)
    assert.equal(sent['campaign_id'], 'spring')
  }
})

test('a click carries target, name, client and place, with keys in lower case', () => {
  const sent = fields({
    ...base,
    type: 'click',
    ip: '2001:db8::1',
    userAgent: 'UA',
    url: 'https://example.com/ä?q=1#x',
    linkName: 'ü'.repeat(40),
    geo: {
      country: 'DE',
      region: 'BE',
      city: 'Berlin',
      latitude: 52.5,
      longitude: 13.4,
      zip: '10115',
      postalCode: '10115',
    },
    verdict: { bot: true, reason: 'scanner' },
  })
  assert.equal(sent['target_link_url'], 'https://example.com/ä?q=1#x')
  assert.equal(sent['target_link_name'], 'ü'.repeat(31))
  assert.equal(sent['ip_address'], '2001:db8::1')
  assert.equal(sent['user_agent'], 'UA')
  assert.deepEqual(sent['geo_ip'], {
    country: 'DE',
    region: 'BE',
    city: 'Berlin',
    latitude: 52.5,
    longitude: 13.4,
    zip: '10115',
    postal_code: '10115',
  })
  assert.equal(sent['is_bot'], true)
  assert.equal(sent['bot_reason'], 'scanner')
  assert.ok(!('is_proxy' in sent))
})

test('a bounce carries class, code and reason as strings', () => {
  const sent = fields({
    ...base,
    type: 'bounce',
    recipient: 'x@y.example',
    code: 550,
    reason: '5.1.1 no such user',
    bounceClass: 10,
    sourceIp: '192.0.2.9',
    queueTimeMs: 1500,
    retries: 0,
    messageBytes: 155_704,
    subaccount: 9,
    job: 'own',
  })
  assert.deepEqual(sent, {
    grouping: 'message_event',
    type: 'inband',
    recv_method: 'esmtp',
    delv_method: 'esmtp',
    event_id: base.id,
    message_id: base.messageId,
    timestamp: '1580753393',
    subaccount_id: 9,
    campaign_id: 'own',
    msg_from: 'news@example.com',
    rcpt_to: 'x@y.example',
    routing_domain: 'y.example',
    sending_ip: '192.0.2.9',
    msg_size: '155704',
    num_retries: '0',
    queue_time: '1500',
    bounce_class: '10',
    error_code: '550',
    reason: '5.1.1 no such user',
    raw_reason: '5.1.1 no such user',
  })
})

test('a complaint says its kind and who reported it', () => {
  const sent = fields({ ...base, type: 'spam_complaint', feedbackType: 'abuse', reportedBy: 'mx.example' })
  assert.equal(sent['fbtype'], 'abuse')
  assert.equal(sent['report_by'], 'mx.example')
})

test('without a record nothing is claimed of recipient, subaccount and campaign', () => {
  const sent = fields({ ...base, type: 'open' }, 'nothing')
  for (const name of ['rcpt_to', 'subaccount_id', 'campaign_id']) assert.ok(!(name in sent), name)
  assert.equal(fields({ ...base, type: 'open' }, { recipient: 'a@b' })['subaccount_id'], 0)
})

test('recipients go as hash and domain, or not at all, when so wanted', () => {
  const hashed = fields({ ...base, type: 'open' }, record, { recipient: 'hash', verdicts: true })
  assert.equal(hashed['rcpt_hash'], createHash('sha1').update('bob@Example.com').digest('base64'))
  assert.equal(hashed['rcpt_domain'], 'example.com')
  assert.ok(!('rcpt_to' in hashed))
  const hidden = JSON.stringify(
    fields({ ...base, type: 'bounce', recipient: 'bob@x.example' }, record, { recipient: 'none', verdicts: true }),
  )
  assert.ok(!hidden.includes('bob@'))
})
