import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import type { SegmentLog } from '../../durable/segment-log.ts'
import { AgentMetrics } from './agent-metrics.ts'
import type { DeliveryLog } from './delivery-log.ts'
import type { LogSource } from './log-source.ts'

test('a log that can not be asked how much of it is left costs that figure only', async () => {
  const registry = new Registry()
  const sources = [{ lagBytes: async () => Promise.reject(new Error('EACCES')) }] as unknown as LogSource[]
  const deliveryLog = { size: 3, counts: () => ({}) } as unknown as DeliveryLog
  const pending = { bytes: 4096 } as SegmentLog
  void new AgentMetrics(registry, { pending, deliveryLog, sources, isStuck: () => true })
  const text = await registry.metrics()
  const value = (name: string) => new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1]
  assert.deepEqual(['agent_wal_bytes', 'agent_backpressure', 'agent_queue_ids'].map(value), ['4096', '1', '3'])
})
