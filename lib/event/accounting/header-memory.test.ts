import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Redis } from 'ioredis'
import pino from 'pino'
import { HeaderMemory } from './header-memory.ts'

/** A Redis that keeps what it is told, unless it is away or not reached yet. */
function fakeRedis() {
  const told: string[] = []
  const state: { told: string[]; isAway: boolean; status: Redis['status'] } = { told, isAway: false, status: 'ready' }
  const redis: Pick<Redis, 'status'> & { set: (key: string, text: string) => Promise<string> } = {
    get status() {
      return state.status
    },
    set: async (_, text) => {
      await Promise.resolve()
      if (state.isAway || state.status !== 'ready') throw new Error('away')
      told.push(text)
      return 'OK'
    },
  }
  return { state, redis: redis as Redis }
}

function memoryIn(dir: string, redis: Redis): HeaderMemory {
  return new HeaderMemory({ dir, source: 'pipe', redis, log: pino({ level: 'silent' }) })
}

test('Redis, once it is back, is told the last header and none before it', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { state, redis } = fakeRedis()
  state.isAway = true
  const memory = memoryIn(await mkdtemp(join(tmpdir(), 'header-memory-')), redis)
  await memory.save(['type', 'rcpt'])
  state.isAway = false
  await memory.save(['rcpt', 'type'])
  t.mock.timers.tick(60_000)
  await memory.close()
  assert.deepEqual(state.told, ['["rcpt","type"]'])
})

test('Redis is told what came, not what was only recalled: another may have saved a later one since', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'header-memory-'))
  const earlier = memoryIn(dir, fakeRedis().redis)
  await earlier.save(['type', 'rcpt'])
  await earlier.close()

  const { state, redis } = fakeRedis()
  const recalled = memoryIn(dir, redis)
  assert.deepEqual(await recalled.recall(), ['type', 'rcpt'])
  await recalled.close()
  assert.deepEqual(state.told, [])

  const again = memoryIn(dir, redis)
  await again.recall()
  await again.save(['type', 'rcpt'])
  await again.close()
  assert.deepEqual(state.told, ['["type","rcpt"]'])
})

test('Redis is told at the end, though it is reached only then', async () => {
  const { state, redis } = fakeRedis()
  state.status = 'connecting'
  const memory = memoryIn(await mkdtemp(join(tmpdir(), 'header-memory-')), redis)
  await memory.save(['type', 'rcpt'])
  setTimeout(() => (state.status = 'ready'), 300)
  await memory.close()
  assert.deepEqual(state.told, ['["type","rcpt"]'])
})
