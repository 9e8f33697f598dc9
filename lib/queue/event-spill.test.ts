import assert from 'node:assert/strict'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import pino from 'pino'
import { Registry } from 'prom-client'
import { Health } from '../process/health.ts'
import { EventSpill } from './event-spill.ts'

/** A spill whose disk hangs until `thaw`. */
async function openFrozen(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'event-spill-'))
  t.after(() => rm(dir, { recursive: true }))
  const spill = await EventSpill.open({
    dir,
    bytesMax: 1_000_000,
    log: pino({ level: 'silent' }),
    health: new Health(),
    metrics: new Registry(),
    prefix: 'test',
  })
  const some = await open(import.meta.filename)
  const handles = Object.getPrototypeOf(some) as typeof some
  await some.close()
  const { promise, resolve } = Promise.withResolvers<void>()
  t.mock.method(handles, 'datasync', () => promise)
  return { spill, thaw: resolve }
}

test('EventSpill.put has nobody wait for a disk that is known to hang, until it goes on', async t => {
  const { spill, thaw } = await openFrozen(t)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const told: string[] = []
  const put = (name: string) => spill.put(JSON.stringify({ messageId: name }), () => told.push(name))
  const puts = [put('first')]
  t.mock.timers.tick(999)
  assert.deepEqual(told, [])
  t.mock.timers.tick(1)
  puts.push(put('second'))
  assert.deepEqual(told, ['first'], 'never before it has returned')
  t.mock.timers.tick(1)
  assert.deepEqual(told, ['first', 'second'])
  thaw()
  assert.deepEqual(await Promise.all(puts), [true, true])
  const third = put('third')
  t.mock.timers.tick(999)
  assert.equal(await third, true)
  assert.deepEqual(told, ['first', 'second'])
  await spill.close()
})

test('EventSpill.close waits for a disk that hangs without using the CPU, then gives up the folder', async t => {
  const { spill, thaw } = await openFrozen(t)
  const turns = t.mock.method(globalThis, 'setImmediate')

  const put = spill.put('{"messageId":"m"}', () => undefined)
  let isClosed = false
  const closing = spill.close().then(() => (isClosed = true))
  await new Promise(resolve => setTimeout(resolve, 20))
  assert.equal(isClosed, false)
  assert.equal(turns.mock.callCount(), 0)
  thaw()
  assert.equal(await put, true)
  await closing
})
