/**
 * The two ingestion APIs, with the refusals that their services answer.
 *
 * Told at once: a missing or wrong key (401), a wrong content type (415), a body that is not gzip (400) or too large,
 * as sent or inflated (413). Everything else about a batch of Events Ingest is told out of band, as its service does.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { keysOf } from './access.ts'
import { readCustomSmtpEvents } from './custom-smtp-events.ts'
import type { Archive } from './archive.ts'
import type { BatchRow } from './event-store.ts'
import { batchBytesMax, BatchTooLarge, inflateBatch, NotGzip } from './ingest-batch.ts'
import type { EventSource } from './received-event.ts'
import { readBody } from './request-body.ts'
import { readTime } from './time.ts'

export interface IngestHooks {
  readonly isKey: (presented: string | undefined) => boolean
  readonly onEvents: (source: EventSource, outcome: 'stored' | 'failed' | 'duplicate', count: number) => void
  readonly onRefused: (source: EventSource, status: number) => void
}

const ingestPath = '/api/v1/ingest/events'
const batchesPath = '/api/v1/events/ingest'
const customSmtpPath = '/api/v1/tpsp/custom-smtp/events'

/** Largest request to the custom-SMTP endpoint, in bytes. */
const customSmtpBytesMax = 1024 * 1024

/** Requests that are taken in at the same time; more are asked to come again. Bounds the memory that bodies take. */
const uploadsMax = 32

/** How long a batch is said to be kept. */
const batchKeptMs = 10 * 24 * 3_600_000

const batchesPerPage = { default: 1_000, max: 10_000 }

/** Batch ids that one request may ask for. */
const batchIdsMax = 1_000

export function ingestRoutes(app: FastifyInstance, archive: Archive, hooks: IngestHooks): void {
  let uploads = 0

  const admit = async (request: FastifyRequest, reply: FastifyReply) => {
    if (request.method !== 'POST') return undefined
    if (uploads >= uploadsMax) {
      return reply.header('retry-after', '1').code(503).send(errors('too many uploads at once, try again in a second'))
    }
    uploads++
    reply.raw.once('close', () => uploads--)
    return undefined
  }
  const refuse = (source: EventSource) => async (_: FastifyRequest, reply: FastifyReply) => {
    if (reply.statusCode >= 400) hooks.onRefused(source, reply.statusCode)
  }

  void app.register(async sparkpost => {
    takeRawBodies(sparkpost, batchBytesMax)
    sparkpost.addHook('onRequest', async (request, reply) => {
      if (keysOf(request.headers.authorization).some(hooks.isKey)) return undefined
      return reply.code(401).send(errors('Unauthorized: the header Authorization must hold a valid API key'))
    })
    sparkpost.addHook('onRequest', admit)
    sparkpost.addHook('onResponse', refuse('sparkpost'))

    sparkpost.post(ingestPath, {
      onRequest: async (request, reply) => {
        const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
        if (type !== 'application/x-ndjson') {
          return reply.code(415).send(errors('Content-Type must be application/x-ndjson'))
        }
        if ((request.headers['content-encoding'] ?? '').trim().toLowerCase() !== 'gzip') {
          return reply.code(400).send(errors('Content-Encoding must be gzip'))
        }
        return undefined
      },
      handler: async (request, reply) => {
        let inflated
        try {
          inflated = await inflateBatch(request.body as Buffer)
        } catch (error) {
          if (error instanceof NotGzip) return reply.code(400).send(errors('the body is not gzip'))
          if (error instanceof BatchTooLarge) {
            return reply.code(413).send(errors(`the batch inflates to more than ${batchBytesMax} bytes`))
          }
          throw error
        }
        const outcome = await archive.call('addBatch', randomUUID(), inflated)
        hooks.onEvents('sparkpost', 'stored', outcome.succeeded)
        hooks.onEvents('sparkpost', 'failed', outcome.failed)
        hooks.onEvents('sparkpost', 'duplicate', outcome.duplicates)
        return { results: { id: outcome.id } }
      },
    })

    sparkpost.get<{ Querystring: BatchQuery }>(batchesPath, async (request, reply) => {
      const asked = readBatchQuery(request.query)
      if ('fault' in asked) return reply.code(400).send(errors(asked.fault))
      const rows = await archive.call('batches', asked.ids, asked.cursor, asked.perPage)
      const last = rows.at(-1)
      const more = rows.length === asked.perPage && last
      const next = more ? new URLSearchParams({ ...request.query, cursor: String(last.seq) }) : undefined
      return {
        results: rows.map(batchOutcome).filter(asked.matches),
        links: next ? { next: `${batchesPath}?${next.toString()}` } : {},
      }
    })

    sparkpost.get<{ Params: { id: string } }>(`${ingestPath}/failures/:id`, async (request, reply) => {
      const { id } = request.params
      const [batch] = await archive.call('batches', [id], 0, 1)
      if (!batch) return reply.code(404).send(errors('no such batch'))
      const lines = Readable.from(failureLines(archive, id), { objectMode: false, highWaterMark: 64 * 1024 })
      const gzip = createGzip()
      lines.once('error', error => gzip.destroy(error))
      // The file itself is gzip, whatever the client accepts; this is no content coding.
      return reply.type('application/gzip').send(lines.pipe(gzip))
    })
  })

  void app.register(async sendpost => {
    takeRawBodies(sendpost, customSmtpBytesMax)
    sendpost.addHook('onRequest', async (request, reply) => {
      const key = request.headers['x-sp-event-apikey']
      if (hooks.isKey(typeof key === 'string' ? key : undefined)) return undefined
      return reply.code(401).send(errors('the header X-SP-Event-ApiKey must hold a valid event ingestion key'))
    })
    sendpost.addHook('onRequest', admit)
    sendpost.addHook('onResponse', refuse('sendpost'))

    sendpost.post(customSmtpPath, async (request, reply) => {
      const body = request.body instanceof Buffer ? request.body.toString() : ''
      const verdict = readCustomSmtpEvents(body)
      if ('fault' in verdict) return reply.code(400).send(errors(verdict.fault))
      await archive.call('addEvents', verdict.events)
      hooks.onEvents('sendpost', 'stored', verdict.events.length)
      return { accepted: verdict.events.length }
    })
  })
}

/** The body of an error, as SparkPost forms it. */
export function errors(message: string): { errors: { message: string }[] } {
  return { errors: [{ message }] }
}

function takeRawBodies(app: FastifyInstance, bytesMax: number): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_: FastifyRequest, body: IncomingMessage) => readBody(body, bytesMax))
}

async function* failureLines(archive: Archive, batch: string): AsyncGenerator<string> {
  for await (const { line, reason, body } of archive.failures(batch)) {
    yield `${JSON.stringify({ line, message: reason, event: body })}\n`
  }
}

interface BatchOutcome {
  readonly type: 'success' | 'error'
  readonly error_type?: string
  readonly retryable: boolean
  readonly timestamp: string
  readonly [other: string]: unknown
}

function batchOutcome(row: BatchRow): BatchOutcome {
  const { errorType } = row
  return {
    batch_id: row.id,
    type: errorType === null ? 'success' : 'error',
    ...(errorType !== null && { error_type: errorType }),
    // Nothing of this gets better by sending it again: the same bytes have the same fault.
    retryable: false,
    number_succeeded: row.succeeded,
    number_failed: row.failed,
    number_duplicates: row.duplicates,
    timestamp: new Date(row.received).toISOString(),
    expiration_timestamp: new Date(row.received + batchKeptMs).toISOString(),
    ...(row.failed > 0 && { href: `${ingestPath}/failures/${row.id}` }),
  }
}

interface BatchQuery {
  readonly batch_ids?: string
  readonly events?: string
  readonly error_types?: string
  readonly retryable?: string
  readonly from?: string
  readonly to?: string
  readonly per_page?: string
  readonly cursor?: string
}

interface AskedBatches {
  readonly ids: readonly string[] | undefined
  readonly cursor: number
  readonly perPage: number
  readonly matches: (outcome: BatchOutcome) => boolean
}

function readBatchQuery(query: BatchQuery): AskedBatches | { readonly fault: string } {
  const list = (text: unknown) => (typeof text === 'string' && text !== '' ? text.split(',') : undefined)
  const ids = list(query.batch_ids)
  if (ids && ids.length > batchIdsMax) return { fault: `batch_ids: at most ${batchIdsMax}` }
  const [types, errorTypes] = [list(query.events), list(query.error_types)]
  const [from, to] = [readTime(query.from), readTime(query.to)]
  if ((query.from !== undefined && from === undefined) || (query.to !== undefined && to === undefined)) {
    return { fault: 'from and to: expected RFC 3339 or Unix seconds' }
  }
  const number = (text: string | undefined, otherwise: number) => (text === undefined ? otherwise : Number(text))
  const perPage = number(query.per_page, batchesPerPage.default)
  const cursor = number(query.cursor, 0)
  if (!Number.isSafeInteger(perPage) || perPage < 1 || perPage > batchesPerPage.max) {
    return { fault: `per_page: expected a number from 1 to ${batchesPerPage.max}` }
  }
  if (!Number.isSafeInteger(cursor) || cursor < 0) return { fault: 'cursor: expected what links.next said' }
  return {
    ids,
    cursor,
    perPage,
    matches: outcome =>
      (types === undefined || types.includes(outcome.type)) &&
      (errorTypes === undefined || errorTypes.includes(outcome.error_type ?? '')) &&
      (query.retryable === undefined || query.retryable === String(outcome.retryable)) &&
      (from === undefined || Date.parse(outcome.timestamp) >= from) &&
      (to === undefined || Date.parse(outcome.timestamp) <= to),
  }
}
