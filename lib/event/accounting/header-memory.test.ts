import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Redis } from 'ioredis'
import pino from 'pino'
import { HeaderMemory } from './header-memory.ts'

test('Redis, once it is back, is told the last header and none before it', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const told: string[] = []
  let isAway = true
  const redis: Pick<Redis, 'status'> & { set: (key: string, text: string) => Promise<string> } = {
    status: 'ready',
    set: async (_, text) => {
      await Promise.resolve()
      if (isAway) throw new Error('away')
      told.push(text)
      return 'OK'
    },
  }
  const memory = new HeaderMemory({
    dir: await mkdtemp(join(tmpdir(), 'header-memory-')),
    source: 'pipe',
    redis: redis as Redis,
    log: pino({ level: 'silent' }),
  })
  await memory.save(['type', 'rcpt'])
  isAway = false
  await memory.save(['rcpt', 'type'])
  t.mock.timers.tick(60_000)
  await memory.close()
  assert.deepEqual(told, ['["rcpt","type"]'])
})
