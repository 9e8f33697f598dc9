import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiEvent } from './api-event.ts'
import { RecentEvents } from './recent-events.ts'

const event = (number: number): ApiEvent => ({
  message_id: '11111111-1111-4111-8111-111111111111',
  event_type: 'delivered',
  timestamp: '2026-11-21T12:00:00Z',
  smtp_description: '250 ok',
  recipient: `r${number}@example.com`,
})

test('RecentEvents knows what it was told, and nothing else', () => {
  const recent = new RecentEvents(100_000)
  for (let number = 0; number < 50_000; number++) assert.ok(recent.add(event(number), 'A'))
  for (let number = 0; number < 50_000; number++) assert.ok(!recent.add(event(number), 'A'))
})
test('RecentEvents tells events apart by each of their fields and by their origin', () => {
  const recent = new RecentEvents(100)
  assert.ok(recent.add(event(1), 'A'))
  const others: Partial<ApiEvent>[] = [
    { message_id: '21111111-1111-4111-8111-111111111111' },
    { event_type: 'bounced' },
    { timestamp: '2026-11-21T12:00:01Z' },
    { smtp_code: 250 },
    { smtp_description: '250 ok ' },
    { recipient: 'r2@example.com' },
  ]
  for (const other of others) assert.ok(recent.add({ ...event(1), ...other }, 'A'), JSON.stringify(other))
  assert.ok(recent.add(event(1), 'B'))
})
test('RecentEvents forgets the oldest', () => {
  const recent = new RecentEvents(10)
  for (let number = 0; number < 30; number++) recent.add(event(number), 'A')
  assert.ok(recent.add(event(0), 'A'))
  assert.ok(!recent.add(event(29), 'A'))
})
