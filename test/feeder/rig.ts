/** A queue with events and records, an endpoint and feeders, for the tests of this folder. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomEventId } from '../../lib/event/event-id.ts'
import type { EngagementEvent } from '../../lib/event/event.ts'
import { partitionKeys, partitionOf } from '../../lib/queue/partition.ts'
import { encodeRecord, type MessageRecord, recordKey } from '../../lib/record/record.ts'
import { startIngestEndpoint, type IngestEndpoint } from '../support/ingest-endpoint.ts'
import { freePort, startProcess, type StartedProcess, until } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

export const partitions = 4
export const key = 'canary-key-8f3a'

export interface Rig {
  readonly redis: TestRedis
  readonly endpoint: IngestEndpoint
  readonly dir: string
  readonly deadLetterDir: string
  /** Puts events into the queue; yields them. */
  issue: (count: number, more?: Partial<EngagementEvent>) => Promise<EngagementEvent[]>
  issueRaw: (raw: string) => Promise<void>
  record: (messageId: string, record: MessageRecord) => Promise<void>
  /** A later option wins over one that the rig gives, `--redis-url=…` too. */
  feeder: (args?: readonly string[], env?: Record<string, string>) => Promise<RunningFeeder>
  /** Entries in the queue, over all partitions. */
  waiting: () => Promise<number>
  deadLetters: () => Promise<{ reason: string; event?: { id: string }; raw?: string }[]>
  stop: () => Promise<void>
}

export interface RunningFeeder extends StartedProcess {
  health: () => Promise<{ status: string; reasons: Record<string, string> }>
  metric: (name: string) => Promise<number>
}

export async function setUp(): Promise<Rig> {
  // With everysec a busy disk may hold back what was written before a kill: Redis's promise, not ours.
  const redis = await startRedis(['--appendfsync', 'always'])
  const endpoint = await startIngestEndpoint()
  const dir = await mkdtemp(join(tmpdir(), 'feeder-'))
  const deadLetterDir = join(dir, 'dead-letters')
  const started: StartedProcess[] = []
  let messages = 0
  await redis.client.set('mta:partitions', partitions)
  const push = async (pairs: readonly [messageId: string, raw: string][]) => {
    for (let at = 0; at < pairs.length; at += 1_000) {
      const pipeline = redis.client.pipeline()
      for (const [messageId, raw] of pairs.slice(at, at + 1_000)) {
        pipeline.xadd(partitionKeys(partitionOf(messageId, partitions)).events, '*', 'e', raw)
      }
      const replies = (await pipeline.exec()) ?? []
      const failed = replies.find(([error]) => error)?.[0]
      if (failed) throw failed
    }
  }
  return {
    redis,
    endpoint,
    dir,
    deadLetterDir,
    issue: async (count, more = {}) => {
      const events = Array.from({ length: count }, (): EngagementEvent => {
        messages += 1
        return {
          id: randomEventId(),
          type: 'open',
          messageId: `0000${messages.toString(16).padStart(16, '0')}`,
          at: Date.now(),
          ip: '192.0.2.1',
          userAgent: 'Mozilla/5.0 (X11; Linux x86_64) test',
          ...more,
        }
      })
      await push(events.map(event => [event.messageId, JSON.stringify(event)]))
      return events
    },
    issueRaw: raw => push([['raw', raw]]),
    record: async (messageId, record) => {
      await redis.client.set(recordKey('accounting', messageId, partitions), encodeRecord(record), 'EX', 3600)
    },
    feeder: async (args = [], env = {}) => {
      const port = await freePort()
      const feeder = await startProcess(
        'node',
        [
          'cmd/feeder.ts',
          `--redis-url=${redis.url}`,
          `--endpoint=${endpoint.url}`,
          `--dead-letter-dir=${deadLetterDir}`,
          `--metrics-hostport=127.0.0.1:${port}`,
          '--batch-age=100ms',
          '--record-wait=0',
          ...args,
        ],
        { env: { SPARKPOST_API_KEY_INGEST: key, ...env }, cwd: new URL('../..', import.meta.url).pathname },
      )
      started.push(feeder)
      const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text()
      return {
        ...feeder,
        health: async () => JSON.parse(await get('/health')) as { status: string; reasons: Record<string, string> },
        metric: async name => {
          const lines = (await get('/metrics'))
            .split('\n')
            .filter(line => line.startsWith(name) && !line.startsWith('#'))
          return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
        },
      }
    },
    waiting: async () => {
      const lengths = await Promise.all(
        Array.from({ length: partitions }, (_, p) => redis.client.xlen(partitionKeys(p).events)),
      )
      return lengths.reduce((sum, length) => sum + length, 0)
    },
    deadLetters: async () => {
      const names = (await readdir(deadLetterDir).catch(() => [])).filter(name => name.endsWith('.ndjson'))
      const texts = await Promise.all(names.map(name => readFile(join(deadLetterDir, name), 'utf8')))
      return texts
        .join('')
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as { reason: string })
    },
    stop: async () => {
      await Promise.all(started.map(feeder => feeder.stop()))
      await endpoint.close()
      await redis.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Waits until every one of these events has arrived. */
export async function arrived(rig: Rig, events: readonly { id: string }[], timeoutMs = 20_000): Promise<void> {
  await until(
    `${events.length} events to arrive`,
    () => {
      const missing = events.filter(({ id }) => !rig.endpoint.ledger.has(id)).length
      if (missing > 0) throw new Error(`${missing} are missing`)
      return true
    },
    timeoutMs,
  )
}
