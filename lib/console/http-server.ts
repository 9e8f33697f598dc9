/** The console's web service: ingestion APIs, JSON API and pages. */
import fastify, { type FastifyError } from 'fastify'
import { hostCheck } from '../process/host-check.ts'
import { isLoopback } from '../network/loopback.ts'
import type { HostPort } from '../process/option.ts'
import { keysOf } from './access.ts'
import type { Archive } from './archive.ts'
import { errors, ingestRoutes, type IngestHooks } from './ingest-routes.ts'
import { pageRoutes } from './page-routes.ts'
import { queryRoutes } from './query-routes.ts'

export interface HttpServer {
  close: () => Promise<void>
}

export interface HttpSettings {
  readonly at: HostPort
  /** Where wrapped links lead: mails shown in the page may load their pixel from there. */
  readonly trackingUrl: string | undefined
}

export interface HttpHooks extends IngestHooks {
  /** An answer could not be given because of us: what was sent was not stored, or what was asked for not read. */
  readonly onFailure: (failed: 'store' | 'read', error: Error) => void
}

const connectionsMax = 500

/** How long answers under way may take once we are stopping. */
const closeMs = 3_000

/** @throws Error with `code` EADDRINUSE and the like when it can't listen */
export async function serveHttp(settings: HttpSettings, archive: Archive, hooks: HttpHooks): Promise<HttpServer> {
  const { at } = settings
  const app = fastify({
    requestTimeout: 60_000,
    keepAliveTimeout: 30_000,
    connectionTimeout: 120_000,
    bodyLimit: 64 * 1024,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 256 },
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 },
  })
  app.server.maxConnections = connectionsMax

  const open = isLoopback(at.host)
  const isOurName = hostCheck(at)
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
    })
    if (open) {
      if (isOurName(request.headers.host)) return undefined
      return reply.code(403).send(errors('not served under this host name: use the address of --in-hostport'))
    }
    // Reached from elsewhere: mails and events are for those who have the key. The ingestion APIs ask themselves.
    if (request.url.startsWith('/api/v1/') || keysOf(request.headers.authorization).some(hooks.isKey)) return undefined
    return reply
      .code(401)
      .header('www-authenticate', 'Basic realm="console: the API key is the password", charset="UTF-8"')
      .send(errors('the API key is required'))
  })

  app.setNotFoundHandler((_, reply) => reply.code(404).send(errors('no such page')))
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 503
    if (status < 500) return reply.code(status).send(errors(error.message))
    const failed = request.method === 'POST' ? 'store' : 'read'
    hooks.onFailure(failed, error)
    const said = failed === 'store' ? 'could not be stored' : 'could not be read'
    return reply
      .code(503)
      .header('retry-after', '5')
      .send(errors(`${said}, try again later`))
  })

  ingestRoutes(app, archive, hooks)
  queryRoutes(app, archive)
  pageRoutes(app, archive, settings.trackingUrl)

  await app.listen({ host: at.host || '::', port: at.port })
  let closing: Promise<void> | undefined
  return {
    close: () =>
      (closing ??= (async () => {
        const impatient = setTimeout(() => app.server.closeAllConnections(), closeMs)
        await app.close()
        clearTimeout(impatient)
      })()),
  }
}
