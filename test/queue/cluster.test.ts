/**
 * One node of a Redis Cluster that has all slots: it refuses a command whose keys lie in different ones, as a real cluster
 * does, and otherwise behaves as any Redis.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { RecordStore } from '../../lib/record/record-store.ts'
import { startIngestEndpoint } from '../support/ingest-endpoint.ts'
import { startProcess, until } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { closeAll, hooks } from './queue-under-test.ts'

afterEach(closeAll)

test('no command spans two hash tags: records and events go all their way through a cluster', async () => {
  const redis = await startRedis(['--cluster-enabled', 'yes'])
  const endpoint = await startIngestEndpoint()
  const dir = await mkdtemp(join(tmpdir(), 'mta-cluster-'))
  const cwd = new URL('../..', import.meta.url).pathname
  try {
    const { client } = redis
    await client.cluster('ADDSLOTSRANGE', 0, 16_383)
    await until('the cluster to be ready', async () => (await client.cluster('INFO')).includes('cluster_state:ok'))
    await assert.rejects(client.mget('mta:{0}:w:a', 'mta:{1}:w:b'), /CROSSSLOT/)
    await client.config('RESETSTAT')

    const count = 300
    const store = await RecordStore.open({ ...hooks(redis.url), prefix: 'wrapper' })
    const ids = Array.from({ length: count }, (_, n) => `0000${n.toString(16).padStart(16, '0')}`)
    await store.putMany(
      'wrapper',
      ids.map(messageId => ({ messageId, record: { job: 'spring' } })),
      3_600,
    )
    await store.close()
    const now = Math.floor(Date.now() / 1000)
    const lines = ids.map((id, n) => `d,${now},reader-${n}@example.net,${id}`)
    const etl = await startProcess(
      'node',
      ['cmd/acct_etl.ts', `--redis-url=${redis.url}`, `--spill-dir=${join(dir, 'spill')}`, '--events'],
      { cwd, input: ['type,timeLogged,rcpt,header_x-sp-message-id', ...lines, ''].join('\n') },
    )
    assert.equal((await etl.exited).code, 0, etl.output.stdout)
    const feeder = await startProcess(
      'node',
      [
        ...['cmd/feeder.ts', `--redis-url=${redis.url}`, `--endpoint=${endpoint.url}`, '--batch-age=100ms'],
        `--dead-letter-dir=${join(dir, 'dead-letters')}`,
      ],
      { cwd, env: { SPARKPOST_API_KEY_INGEST: 'key' } },
    )
    await until('all events to arrive', () => endpoint.ledger.size === count, 20_000)
    await feeder.stop()
    assert.equal(endpoint.events.filter(({ fields }) => fields['campaign_id'] === 'spring').length, count)
    assert.doesNotMatch(await client.info('errorstats'), /CROSSSLOT|MOVED/)
  } finally {
    await endpoint.close()
    await redis.stop()
    await rm(dir, { recursive: true, force: true })
  }
})
