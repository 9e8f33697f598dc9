import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Registry } from 'prom-client'
import { freePort } from '../../test/support/process.ts'
import type { Archive } from './archive.ts'
import { consoleMetrics } from './console-metrics.ts'
import { serveHttp } from './http-server.ts'

test('an answer that can not be given says whether storing or reading failed', async context => {
  const fails = () => {
    throw new Error('disk I/O error')
  }
  const failing = {
    call: async () => fails(),
    async *eventLines() {
      yield fails()
    },
    async *mailPages() {
      yield fails()
    },
  } as unknown as Archive
  const failures: string[] = []
  const port = await freePort()
  const server = await serveHttp({ at: { host: '127.0.0.1', port }, trackingUrl: undefined }, failing, {
    isKey: () => true,
    onEvents: () => undefined,
    onRefused: () => undefined,
    onFailure: (failed, { message }) => failures.push(`${failed}: ${message}`),
  })
  context.after(() => server.close())
  const ask = async (path: string, init?: RequestInit) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, init)
    return `${answer.status} ${await answer.text()}`
  }
  const batch = {
    method: 'POST',
    headers: { authorization: 'k', 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' },
    body: gzipSync('{}\n'),
  }
  assert.match(await ask('/api/v1/ingest/events', batch), /^503 .*could not be stored/)
  assert.deepEqual(failures.splice(0), ['store: disk I/O error'])
  for (const path of ['/api/mailbox/1', '/api/events', '/api/mailbox', '/', '/api/v1/events/ingest']) {
    assert.match(await ask(path, { headers: { authorization: 'k' } }), /^503 .*could not be read/, path)
    assert.deepEqual(failures.splice(0), ['read: disk I/O error'], path)
  }
})

test('metrics are to be had though the database can not be read', async () => {
  const registry = new Registry()
  let counts: () => Promise<{ events: number; mails: number; bytes: number }> = async () => ({
    events: 7,
    mails: 0,
    bytes: 0,
  })
  consoleMetrics(registry, () => counts())
  assert.match(await registry.metrics(), /console_events_kept 7/)
  counts = () => Promise.reject(new Error('the database is closed'))
  assert.match(await registry.metrics(), /console_events_kept 7/)
})
