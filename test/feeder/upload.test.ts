import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../support/process.ts'
import { arrived, key, partitions, type Rig, setUp } from './rig.ts'

let rig: Rig
before(async () => {
  rig = await setUp()
})
after(() => rig.stop())

test('feeder uploads events with recipient and subaccount from the record, then deletes them', async () => {
  const [event] = await rig.issue(1, { type: 'click', url: 'https://example.com/a?b=ü', linkName: 'first' })
  assert.ok(event)
  await rig.record(event.messageId, { recipient: 'bob@example.com', subaccount: 7, job: 'spring' })
  const feeder = await rig.feeder()
  await arrived(rig, [event])
  const [received] = rig.endpoint.events
  assert.deepEqual(received?.fields, {
    type: 'click',
    delv_method: 'esmtp',
    event_id: event.id,
    message_id: event.messageId,
    timestamp: String(Math.floor(event.at / 1000)),
    subaccount_id: 7,
    campaign_id: 'spring',
    rcpt_to: 'bob@example.com',
    ip_address: event.ip,
    target_link_url: 'https://example.com/a?b=ü',
    target_link_name: 'first',
    user_agent: event.userAgent,
  })
  assert.equal(received.grouping, 'track_event')
  assert.equal(rig.endpoint.requests[0]?.headers.authorization, key)
  assert.equal(rig.endpoint.requests[0]?.url, '/api/v1/ingest/events')
  await until('the queue to be empty', async () => (await rig.waiting()) === 0)
  const { code } = await feeder.stop()
  assert.equal(code, 0)
  assert.deepEqual(rig.endpoint.flaws, [])
  assert.ok(!feeder.output.stdout.includes(key) && !feeder.output.stdout.includes('bob@'), 'secrets in the log')
  assert.ok(partitions > 1)
})
