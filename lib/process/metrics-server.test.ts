import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http'
import { test } from 'node:test'
import { freePort } from '../../test/support/process.ts'
import { Health } from './health.ts'
import { serveMetrics } from './metrics-server.ts'
import { Counter, Registry } from './prometheus.ts'

test('a process with metrics loads neither fetch nor OpenTelemetry', () => {
  const program = `
    import { serveMetrics } from ${JSON.stringify(new URL('metrics-server.ts', import.meta.url).href)}
    import { measureProcess } from ${JSON.stringify(new URL('process-metrics.ts', import.meta.url).href)}
    import { Registry } from ${JSON.stringify(new URL('prometheus.ts', import.meta.url).href)}
    import { Health } from ${JSON.stringify(new URL('health.ts', import.meta.url).href)}
    import { createRequire } from 'node:module'
    const registry = new Registry()
    measureProcess(registry)
    const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, registry, new Health())
    await server.close()
    console.log([...process.moduleLoadList, ...Object.keys(createRequire(import.meta.url).cache)].join('\\n'))
    process.exit()`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  const loaded = stdout.split('\n')
  assert.ok(loaded.includes('NativeModule _http_server'))
  assert.ok(loaded.some(path => path.endsWith('/prom-client/lib/registry.js')))
  assert.deepEqual(
    loaded.filter(name => /deps\/undici|opentelemetry|pushgateway/.test(name)),
    [],
  )
})

test('the metrics server answers what it has, and closes what it is sent', async () => {
  const registry = new Registry()
  new Counter({ name: 'mails_total', help: 'Mails.', registers: [registry] }).inc(3)
  const health = new Health()
  const port = await freePort()
  const server = await serveMetrics({ host: '127.0.0.1', port }, registry, health)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = (options: RequestOptions, body?: Buffer) =>
    new Promise<{ answer: IncomingMessage; text: string; from: number | undefined }>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, agent, ...options }, answer => {
        let text = ''
        const from = answer.socket.localPort
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        answer.once('end', () => resolve({ answer, text, from })).once('error', reject)
      })
      // What goes on sending finds the connection closed, after the answer.
      asked.once('error', reject).end(body)
    })
  try {
    const metrics = await ask({ path: '/metrics?x=1' })
    assert.equal(metrics.answer.headers['content-type'], registry.contentType)
    assert.match(metrics.text, /^mails_total 3$/m)
    const good = await ask({ path: '/health' })
    assert.deepEqual(JSON.parse(good.text), { status: 'ok', reasons: {}, pid: process.pid })
    assert.match(String(good.answer.headers['content-type']), /^application\/json/)
    assert.equal(good.from, metrics.from)
    health.set('disk', 'it is full')
    const bad = await ask({ path: '/health' })
    assert.deepEqual(
      [bad.answer.statusCode, JSON.parse(bad.text) as object],
      [503, { status: 'degraded', reasons: { disk: 'it is full' }, pid: process.pid }],
    )
    const head = await ask({ path: '/metrics', method: 'HEAD' })
    assert.deepEqual([head.answer.statusCode, head.text], [200, ''])
    assert.equal(head.answer.headers['content-length'], metrics.answer.headers['content-length'])
    for (const other of [{ path: '/' }, { path: '/healthy' }, { path: '/health', method: 'DELETE' }])
      assert.equal((await ask(other)).answer.statusCode, 404)
    const sent = ask({ path: '/metrics', method: 'POST', agent: false }, Buffer.alloc(10e6))
    const outcome = await sent.then(
      ({ answer }) => answer.statusCode,
      (error: NodeJS.ErrnoException) => error.code,
    )
    assert.ok([404, 'ECONNRESET', 'EPIPE'].includes(outcome ?? ''), String(outcome))
  } finally {
    // Also with a connection that is kept open.
    await server.close()
    agent.destroy()
  }
})
