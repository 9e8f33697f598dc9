import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { probe, type Condition } from './health-probe.ts'

let dir: string
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'probe-'))))
afterEach(() => rmSync(dir, { recursive: true }))

/** How a Redis is said to be that does this once it has heard something. */
async function redisThat(answers: (socket: Socket) => void): Promise<Condition> {
  const path = join(dir, 'redis.sock')
  const server = createServer(socket => socket.once('data', () => answers(socket)))
  await new Promise<void>(resolve => server.listen(path, resolve))
  const late = new Promise<never>((_, reject) => AbortSignal.timeout(10_000).addEventListener('abort', reject))
  try {
    return await Promise.race([probe({ name: 'redis', health: path }), late])
  } finally {
    server.close()
  }
}

test('probe tells how Redis is by its answer', async () => {
  assert.deepEqual(await redisThat(socket => socket.end('+PONG\r\n')), { state: 'ok' })
  const loading = await redisThat(socket => socket.end('-LOADING Redis is loading the dataset in memory\r\n'))
  assert.equal(loading.state, 'starting')
  const full = await redisThat(socket => socket.end('-MISCONF Errors writing to the AOF file\r\n'))
  assert.deepEqual(full, { state: 'degraded', trouble: 'MISCONF Errors writing to the AOF file' })
})

test('probe takes a Redis for down that ends before it answers, or never answers', async () => {
  assert.equal((await redisThat(socket => socket.end())).state, 'down')
  assert.equal((await redisThat(() => undefined)).state, 'down')
  assert.equal((await probe({ name: 'redis', health: join(dir, 'none.sock') })).state, 'down')
})
