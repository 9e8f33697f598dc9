/**
 * Serves `/health` (200 ok, 503 degraded; its `pid` tells a supervisor whose answer it is) and `/metrics` (Prometheus text) of a process.
 *
 * Two paths and complete answers: plain node:http. A framework (fastify) takes 4 MB of memory in each process.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import type { Health } from './health.ts'
import { hostCheck } from './host-check.ts'
import { createServer } from './node-http.ts'
import type { HostPort } from './option.ts'

export interface MetricsServer {
  close: () => Promise<void>
}

/** Connections at the same time; more are closed. */
const connectionsMax = 100
/** Times in ms. */
const limits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 5_000,
} as const
/** Time in which nothing comes or goes, ms. */
const silenceMsMax = 10_000

/** Hosts that mean every address of the machine. */
const everyAddress: ReadonlySet<string> = new Set(['', '0.0.0.0', '::'])

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

const plainText = 'text/plain; charset=utf-8'
const foreignName: Answer = { status: 403, type: plainText, text: 'not served under this host name\n' }
const notFound: Answer = { status: 404, type: plainText, text: 'there are /health and /metrics\n' }
const failed: Answer = { status: 500, type: plainText, text: 'the metrics can not be read\n' }

/** @throws Error with `code` EADDRINUSE and the like when it can't listen */
export async function serveMetrics(at: HostPort, registry: Registry, health: Health): Promise<MetricsServer> {
  // A page in a browser on this machine may reach loopback under a name of its own choice (DNS rebinding). Who listens
  // on every address has chosen to be asked by anyone, under any of the machine's names.
  const isOurName = everyAddress.has(at.host) ? () => true : hostCheck(at)

  async function answer({ method = '', url = '', headers }: IncomingMessage): Promise<Answer> {
    if (!isOurName(headers.host)) return foreignName
    const path = method === 'GET' || method === 'HEAD' ? url.replace(/\?.*$/s, '') : undefined
    if (path === '/metrics') return { status: 200, type: registry.contentType, text: await registry.metrics() }
    if (path !== '/health') return notFound
    const report = health.report()
    const text = JSON.stringify({ ...report, pid: process.pid })
    return { status: report.status === 'ok' ? 200 : 503, type: 'application/json; charset=utf-8', text }
  }

  const server = createServer(limits, (request, response) => {
    void answer(request)
      .catch(() => failed)
      .then(found => send(request, response, found))
  })
  server.maxConnections = connectionsMax
  server.setTimeout(silenceMsMax)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: at.host || '::', port: at.port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    close: async () => {
      const closed = new Promise<void>(resolve => {
        server.close(() => resolve())
      })
      server.closeAllConnections()
      await closed
    },
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, text }: Answer): void {
  const body = Buffer.from(text)
  response.writeHead(status, { 'content-type': type, 'content-length': body.length })
  response.end(request.method === 'HEAD' ? undefined : body)
  // A body is nothing that is asked for: what is left of it is not waited for.
  if (!request.complete) response.once('finish', () => request.socket.destroy())
}
