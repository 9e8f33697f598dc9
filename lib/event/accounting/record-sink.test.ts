import assert from 'node:assert/strict'
import { mkdtemp, readdir, rename, symlink, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import pino from 'pino'
import { Registry } from 'prom-client'
import { SegmentLog } from '../../durable/segment-log.ts'
import { Health } from '../../process/health.ts'
import { type RecordEntry, RecordSink } from './record-sink.ts'

const lines: string[] = []
const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) })
const entries = (first: number, count: number): RecordEntry[] =>
  Array.from({ length: count }, (_, i) => ({ messageId: `m${first + i}`, record: { recipient: `r${first + i}@x` } }))

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'waited too long')
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

async function setUp(spillBytesMax: number | undefined) {
  const dir = await mkdtemp(join(tmpdir(), 'record-sink-'))
  const spill =
    spillBytesMax === undefined
      ? undefined
      : await SegmentLog.open({ dir, bytesMax: spillBytesMax, segmentBytes: 8_192 })
  const redis = { isAway: false, tries: 0, stored: [] as string[] }
  const health = new Health()
  const sink = new RecordSink({
    store: async group => {
      await Promise.resolve()
      redis.tries += 1
      if (redis.isAway) throw new Error('away')
      redis.stored.push(...group.map(({ messageId }) => messageId))
    },
    spill,
    log,
    health,
    metrics: new Registry(),
  })
  return { sink, spill, dir, redis, health }
}

test('records go to Redis in order while it takes them', async () => {
  const { sink, spill, redis } = await setUp(1e6)
  await sink.offer(entries(0, 3_000))
  await sink.flush()
  assert.deepEqual(
    redis.stored,
    entries(0, 3_000).map(({ messageId }) => messageId),
  )
  assert.deepEqual(sink.totals, { stored: 3_000, spilled: 0, drained: 0 })
  await sink.close()
  await spill?.close()
})

test('records that Redis does not take go to disk, and from there to Redis, before newer ones', async () => {
  const { sink, spill, redis } = await setUp(1e7)
  redis.isAway = true
  await sink.offer(entries(0, 1_200))
  await sink.flush()
  assert.equal(sink.totals.spilled, 1_200)
  redis.isAway = false
  await until(() => sink.totals.drained === 1_200)
  assert.equal(sink.spilledGroups, 0)
  await sink.offer(entries(1_200, 10))
  await sink.flush()
  assert.equal(new Set(redis.stored).size, 1_210)
  assert.equal(redis.stored.at(-1), 'm1209')
  await sink.close()
  await spill?.close()
})

test('what the disk does not let go is drained again and counted once', async t => {
  const { sink, spill, redis } = await setUp(1e7)
  redis.isAway = true
  await sink.offer(entries(0, 1_200))
  await sink.flush()
  assert.ok(spill)
  t.mock.method(spill, 'release', () => Promise.reject(new Error('EIO')), { times: 1 })
  redis.isAway = false
  await until(() => sink.spilledGroups === 0)
  await sink.close()
  assert.ok(redis.stored.length > 1_200)
  assert.deepEqual(sink.totals, { stored: 0, spilled: 1_200, drained: 1_200 })
  await spill.close()
})

test('a spill that can not be read at the moment is told once, and read when it can be', async () => {
  const { sink, spill, dir, redis, health } = await setUp(1e6)
  redis.isAway = true
  await sink.offer(entries(0, 500))
  await sink.flush()
  assert.match(health.report().reasons['records'] ?? '', /^Redis takes no records \(away\): they are kept on disk/)
  const name = (await readdir(dir)).find(file => file.endsWith('.segment')) ?? ''
  const [path, aside] = [join(dir, name), join(dir, 'aside')]
  await rename(path, aside)
  await symlink(name, path)
  redis.isAway = false
  await until(() => health.report().reasons['spill-read']?.includes('ELOOP') === true)
  await sink.offer(entries(500, 500))
  await unlink(path)
  await rename(aside, path)
  await until(() => sink.spilledGroups === 0)
  assert.equal(new Set(redis.stored).size, 1_000)
  await until(() => health.report().status === 'ok')
  await sink.close()
  await spill?.close()
})

test('with disk and memory full the input is held, and let go when Redis is back', async () => {
  const { sink, spill, redis, health } = await setUp(20_000)
  redis.isAway = true
  const total = 20_000
  let isTaken = false
  const offering = sink.offer(entries(0, total)).then(() => (isTaken = true))
  await until(() => health.report().reasons['spill'] !== undefined)
  assert.equal(isTaken, false)
  redis.isAway = false
  await offering
  await sink.flush()
  await until(() => sink.spilledGroups === 0)
  assert.equal(new Set(redis.stored).size, total)
  assert.equal(health.report().status, 'ok')
  await sink.close()
  await spill?.close()
})

test('without a spill the input is held until Redis takes it', async () => {
  const { sink, redis } = await setUp(undefined)
  redis.isAway = true
  lines.length = 0
  await sink.offer(entries(0, 10))
  const flushed = sink.flush()
  await until(() => redis.tries >= 4)
  assert.equal(lines.filter(line => line.includes('keeping them')).length, 1)
  redis.isAway = false
  await flushed
  assert.equal(redis.stored.length, 10)
  await sink.close()
})
