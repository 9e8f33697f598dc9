import assert from 'node:assert/strict'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import pino from 'pino'
import { Registry } from 'prom-client'
import { Health } from '../process/health.ts'
import { EventSpill } from './event-spill.ts'

test('EventSpill.close waits for a disk that hangs without using the CPU, then gives up the folder', async t => {
  const dir = await mkdtemp(join(tmpdir(), 'event-spill-'))
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
  let thaw: () => void = () => undefined
  const frozen = new Promise<void>(resolve => (thaw = resolve))
  t.mock.method(handles, 'datasync', () => frozen)
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
  await rm(dir, { recursive: true })
})
