import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { Health } from './health.ts'
import { serveMetrics } from './metrics-server.ts'

test('the metrics server loads nothing that compiles schemas', async () => {
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, new Registry(), new Health())
  await server.close()
  const loaded = Object.keys(createRequire(import.meta.url).cache)
  assert.ok(loaded.some(path => path.includes('/fastify/')))
  assert.deepEqual(
    loaded.filter(path => /ajv|fast-json-stringify\/index/.test(path)),
    [],
  )
})
