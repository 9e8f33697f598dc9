import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRedis } from './redis.ts'

test('startRedis keeps its data over a kill and a restart, and is empty when replaced', async () => {
  const redis = await startRedis()
  try {
    await redis.client.set('a', '1')
    await redis.restart()
    assert.equal(await redis.client.get('a'), '1')
    await redis.replace()
    assert.equal(await redis.client.get('a'), null)
  } finally {
    await redis.stop()
  }
})
