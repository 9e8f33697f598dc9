/** acct_etl as PowerMTA starts it, with a Redis, for the tests of this folder. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeRecord, type MessageRecord, recordKey } from '../../lib/record/record.ts'
import { partitionKeys } from '../../lib/queue/partition.ts'
import type { DeliveryEvent } from '../../lib/event/event.ts'
import { startProcess, type StartedProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

export const partitions = 4

export interface Rig {
  readonly redis: TestRedis
  readonly dir: string
  readonly spillDir: string
  start: (args?: readonly string[], input?: string) => Promise<StartedProcess>
  record: (messageId: string) => Promise<MessageRecord | undefined>
  /** Records stored, over all partitions. */
  recordIds: () => Promise<Set<string>>
  events: () => Promise<DeliveryEvent[]>
  rejected: () => Promise<{ reason: string; record: string }[]>
  stop: () => Promise<void>
}

export async function setUp(): Promise<Rig> {
  // With everysec a busy disk may hold back what was written before a kill: Redis's promise, not ours.
  const redis = await startRedis(['--appendfsync', 'always'])
  const dir = await mkdtemp(join(tmpdir(), 'acct-etl-'))
  const spillDir = join(dir, 'spill')
  const started: StartedProcess[] = []
  await redis.client.set('mta:partitions', partitions)
  return {
    redis,
    dir,
    spillDir,
    start: async (args = [], input) => {
      const process = await startProcess(
        'node',
        ['cmd/acct_etl.ts', `--redis-url=${redis.url}`, `--spill-dir=${spillDir}`, '--source=test', ...args],
        { cwd: new URL('../..', import.meta.url).pathname, ...(input !== undefined && { input }) },
      )
      started.push(process)
      return process
    },
    record: async messageId => {
      const text = await redis.client.get(recordKey('accounting', messageId, partitions))
      return text === null ? undefined : decodeRecord(text)
    },
    recordIds: async () => {
      const keys = await redis.client.keys('mta:{*}:a:*')
      return new Set(keys.map(key => key.slice(key.indexOf(':a:') + 3)))
    },
    events: async () => {
      const lists = await Promise.all(
        Array.from({ length: partitions }, (_, p) => redis.client.xrange(partitionKeys(p).events, '-', '+')),
      )
      return lists.flat().map(([, fields]) => JSON.parse(fields[1] ?? '') as DeliveryEvent)
    },
    rejected: async () => {
      const text = await readFile(join(spillDir, 'rejected.ndjson'), 'utf8').catch(() => '')
      return text
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as { reason: string; record: string })
    },
    stop: async () => {
      await Promise.all(started.map(process => process.stop()))
      await redis.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

export const header = 'type,rcpt,header_x-sp-message-id,header_x-sp-subaccount-id'

/** `d` records with message ids from `first` on, as lines. */
export function delivered(first: number, count: number): string {
  return Array.from(
    { length: count },
    (_, i) => `d,reader-${first + i}@example.net,${messageId(first + i)},${i % 10}\n`,
  ).join('')
}

export function messageId(number: number): string {
  return `0000${number.toString(16).padStart(16, '0')}`
}
