/**
 * npm run bench feeder: events a second through one feeder, gzip included, against a local sink that only answers.
 * Feeder alone on CPU 0; Redis and sink on CPU 1. Aim: ≥ 20,000 events/s (of a core of its own), memory flat.
 *
 * BENCH_EVENTS (200000) makes it longer, as for the memory with a million events queued.
 */
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomEventId } from '../lib/event/event-id.ts'
import { partitionKeys, partitionOf } from '../lib/queue/partition.ts'
import { makeAppend } from '../lib/queue/append-command.ts'
import { Slabs } from '../lib/queue/slabs.ts'
import { appendEntries, setWithExpiry } from '../lib/queue/grouped-write.ts'
import { encodeRecord, recordKey } from '../lib/record/record.ts'
import { startProcess, until } from '../test/support/process.ts'
import { processUsage, type ProcessUsage } from '../test/support/process-usage.ts'
import { startRedis } from '../test/support/redis.ts'

const total = Number(process.env['BENCH_EVENTS'] ?? 200_000)
const slabs = new Slabs(1e6)
const partitions = 4
const redis = await startRedis(['--appendfsync', 'everysec'])
const dir = mkdtempSync(join(tmpdir(), 'bench-feeder-'))
for (const pid of [process.pid, redis.pid]) execFileSync('taskset', ['-apc', '1', String(pid)], { stdio: 'ignore' })

await redis.client.set('mta:partitions', partitions)
for (let first = 0; first < total; first += 4_000) {
  const events = Array.from({ length: partitions }, (): string[] => [])
  const records = Array.from({ length: partitions }, () => ({ keys: [] as string[], values: [] as string[] }))
  for (let n = first; n < Math.min(total, first + 4_000); n++) {
    const messageId = `0000${n.toString(16).padStart(16, '0')}`
    const partition = partitionOf(messageId, partitions)
    const event = {
      id: randomEventId(),
      type: n % 3 === 0 ? 'click' : 'open',
      messageId,
      at: Date.now(),
      ip: `192.0.2.${n % 256}`,
      userAgent:
        'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
      ...(n % 3 === 0 && { url: `https://www.example.com/products/${n % 25}?utm_source=newsletter` }),
    }
    // As a busy producer: one group to a stream, then the next to the next.
    events[Math.floor((n - first) / 1_000)]?.push(JSON.stringify(event))
    records[partition]?.keys.push(recordKey('accounting', messageId, partitions))
    records[partition]?.values.push(encodeRecord({ recipient: `reader-${n}@rcpt.example.net`, subaccount: n % 10 }))
  }
  for (const [partition, { keys, values }] of records.entries()) {
    const stream = partitionKeys(partition).events
    await appendEntries(redis.client, stream, makeAppend(slabs, stream, events[partition] ?? []))
    await setWithExpiry(redis.client, keys, values, 864_000)
  }
}
const queued = async () => {
  const lengths = await Promise.all(
    Array.from({ length: partitions }, (_, p) => redis.client.xlen(partitionKeys(p).events)),
  )
  return lengths.reduce((sum, length) => sum + length, 0)
}
if ((await queued()) !== total) throw new Error(`${await queued()} of ${total} events are queued`)

const got = { bytes: 0, requests: 0, firstAt: 0 }
const sink = createServer((request, response) => {
  got.firstAt ||= performance.now()
  request.on('data', (chunk: Buffer) => (got.bytes += chunk.length))
  request.on('end', () => {
    got.requests += 1
    response.end('{"results":{"id":"b"}}')
  })
})
await new Promise<void>(resolve => sink.listen(0, '127.0.0.1', resolve))
const address = sink.address()
const port = typeof address === 'object' && address !== null ? address.port : 0

const startedAt = performance.now()
const feeder = await startProcess(
  'taskset',
  [
    ...['-c', '0', process.execPath, 'cmd/feeder.ts', `--redis-url=${redis.url}`],
    ...[`--endpoint=http://127.0.0.1:${port}`, `--dead-letter-dir=${join(dir, 'dead')}`, '--batch-age=1s'],
  ],
  { env: { SPARKPOST_API_KEY_INGEST: 'bench' }, cwd: new URL('..', import.meta.url).pathname },
)
await until('the feeder to begin', () => feeder.output.stdout.includes('feeding'))
const begun: ProcessUsage | undefined = processUsage(feeder.pid)
const redisBegun = processUsage(redis.pid)
const begunAt = performance.now()
/** Most memory so far, in MB, after each tenth of the events. */
const peaks: number[] = []
await until(
  'the queue to be empty',
  async () => {
    const left = await queued()
    if (total - left >= (peaks.length + 1) * (total / 10)) peaks.push(Math.round(processUsage(feeder.pid)?.peakMb ?? 0))
    return left === 0
  },
  600_000,
  20,
)
const seconds = (performance.now() - begunAt) / 1000
const usage = processUsage(feeder.pid)
const redisCpu = (processUsage(redis.pid)?.cpuSeconds ?? 0) - (redisBegun?.cpuSeconds ?? 0)
await feeder.stop()
const cpu = (usage?.cpuSeconds ?? 0) - (begun?.cpuSeconds ?? 0)
console.log(
  [
    `${total} events, ${got.requests} requests, ${(got.bytes / total).toFixed(0)} bytes an event gzipped`,
    `rate            ${Math.round(total / seconds)} events/s (started in ${((begunAt - startedAt) / 1000).toFixed(1)} s)`,
    `of one core     ${Math.round(total / cpu)} events per CPU second (aim 20,000)`,
    `Redis           ${Math.round((100 * redisCpu) / seconds)} % of the other core meanwhile`,
    `peak memory     ${usage?.peakMb.toFixed(0)} MB; after each tenth ${peaks.join(' ')}`,
  ].join('\n'),
)
sink.closeAllConnections()
sink.close()
await redis.stop()
rmSync(dir, { recursive: true, force: true })
