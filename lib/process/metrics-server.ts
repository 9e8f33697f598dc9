/**
 * Serves `/health` (200 ok, 503 degraded; its `pid` tells a supervisor whose answer it is) and `/metrics` (Prometheus text) of a process.
 */
import fastify from 'fastify'
import type { Registry } from 'prom-client'
import type { Health } from './health.ts'
import { hostCheck } from './host-check.ts'
import type { HostPort } from './option.ts'

export interface MetricsServer {
  close: () => Promise<void>
}

/** Connections at the same time; more are closed. */
const connectionsMax = 100

/** Hosts that mean every address of the machine. */
const everyAddress: ReadonlySet<string> = new Set(['', '0.0.0.0', '::'])

/** No route has a schema. Without these two, fastify loads Ajv and fast-json-stringify, 1.7 MB in each process. */
const compilersFactory = { buildValidator: noSchemas, buildSerializer: noSchemas }

function noSchemas(): never {
  throw new Error('the metrics server compiles no schemas')
}

/** @throws Error with `code` EADDRINUSE and the like when it can't listen */
export async function serveMetrics(at: HostPort, registry: Registry, health: Health): Promise<MetricsServer> {
  const server = fastify({
    requestTimeout: 10_000,
    keepAliveTimeout: 5_000,
    connectionTimeout: 10_000,
    bodyLimit: 1024,
    forceCloseConnections: true,
    exposeHeadRoutes: true,
    schemaController: { compilersFactory },
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 1_000 },
  })
  server.server.maxConnections = connectionsMax
  const isOurName = hostCheck(at)
  // A page in a browser on this machine may reach loopback under a name of its own choice (DNS rebinding). Who listens
  // on every address has chosen to be asked by anyone, under any of the machine's names.
  if (!everyAddress.has(at.host)) {
    server.addHook('onRequest', async (request, reply) => {
      if (!isOurName(request.headers.host)) return reply.code(403).send('not served under this host name\n')
      return undefined
    })
  }
  server.get('/health', async (_, reply) => {
    const report = health.report()
    return reply.code(report.status === 'ok' ? 200 : 503).send({ ...report, pid: process.pid })
  })
  server.get('/metrics', async (_, reply) => reply.type(registry.contentType).send(await registry.metrics()))
  await server.listen({ host: at.host || '::', port: at.port })
  return { close: () => server.close() }
}
