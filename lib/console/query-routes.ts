/** The JSON API: what was stored, as NDJSON, and the mailbox. Everything streams; memory does not grow with the answer. */
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Archive } from './archive.ts'
import type { EventFilter } from './event-store.ts'
import { errors } from './ingest-routes.ts'
import type { MailRow } from './mail-store.ts'
import { readTime } from './time.ts'

type Query = Readonly<Record<string, string | string[] | undefined>>

export function queryRoutes(app: FastifyInstance, archive: Archive): void {
  app.get<{ Querystring: Query }>('/api/events', (request, reply) => {
    const asked = readEventQuery(request.query)
    if ('fault' in asked) return reply.code(400).send(errors(asked.fault))
    return reply.type('application/x-ndjson').send(streamOf(archive.eventLines(asked.filter, asked.limit)))
  })

  app.get<{ Querystring: Query }>('/api/mailbox', (request, reply) => {
    const { query } = request
    const limit = readLimit(query['limit'])
    const since = query['since'] === undefined ? 0 : readTime(query['since'])
    if (limit === undefined) return reply.code(400).send(errors('limit: expected a number from 1'))
    if (since === undefined) return reply.code(400).send(errors('since: expected RFC 3339 or Unix seconds'))
    const unknown = Object.keys(query).find(name => !['limit', 'since', 'to'].includes(name))
    if (unknown !== undefined) return reply.code(400).send(errors(`unknown parameter: expected to, since or limit`))
    const { to } = query
    const matches = (mail: MailRow) =>
      mail.received >= since && (typeof to !== 'string' || mail.to.some(one => one.toLowerCase() === to.toLowerCase()))
    return reply.type('application/json; charset=utf-8').send(streamOf(mailArray(archive, matches, limit)))
  })

  app.get<{ Params: { id: string } }>('/api/mailbox/:id', async (request, reply) => {
    const mail = await archive.call('mail', request.params.id)
    if (!mail) return reply.code(404).send(errors('no such mail'))
    return reply
      .type('message/rfc822')
      .header('content-length', mail.bytes)
      .header('content-disposition', `inline; filename="${mail.id}.eml"`)
      .send(streamOf(archive.mailContent(mail.id)))
  })
}

/** What a JSON answer tells of a mail. */
function mailSummary(mail: MailRow): Record<string, unknown> {
  return {
    id: mail.id,
    from: mail.from,
    to: mail.to,
    received: new Date(mail.received).toISOString(),
    bytes: mail.bytes,
    subject: mail.subject,
  }
}

function streamOf(chunks: AsyncIterable<string | Uint8Array>): Readable {
  // One chunk ahead, no more: a reader that is slow, or gone, holds nothing up.
  return Readable.from(chunks, { objectMode: true, highWaterMark: 1 })
}

async function* mailArray(
  archive: Archive,
  matches: (mail: MailRow) => boolean,
  limit: number,
): AsyncGenerator<string> {
  let separator = '['
  for await (const page of archive.mailPages(limit)) {
    const found = page.filter(matches).map(mail => JSON.stringify(mailSummary(mail)))
    if (found.length === 0) continue
    yield `${separator}\n${found.join(',\n')}`
    separator = ','
  }
  yield separator === '[' ? '[]\n' : '\n]\n'
}

const eventParameters: ReadonlySet<string> = new Set(['type', 'message_id', 'recipient', 'since', 'after', 'limit'])

function readEventQuery(
  query: Query,
): { readonly filter: EventFilter; readonly limit: number } | { readonly fault: string } {
  for (const [name, value] of Object.entries(query)) {
    if (!eventParameters.has(name)) {
      return { fault: `unknown parameter: expected ${[...eventParameters].join(', ')}` }
    }
    if (typeof value !== 'string') return { fault: `${name}: expected once` }
  }
  const { type, message_id: messageId, recipient } = query as Record<string, string | undefined>
  const since = query['since'] === undefined ? undefined : readTime(query['since'])
  if (query['since'] !== undefined && since === undefined) return { fault: 'since: expected RFC 3339 or Unix seconds' }
  const after = query['after'] === undefined ? undefined : Number(query['after'])
  if (after !== undefined && !(Number.isSafeInteger(after) && after >= 0)) return { fault: 'after: expected a seq' }
  const limit = readLimit(query['limit'])
  if (limit === undefined) return { fault: 'limit: expected a number from 1' }
  return {
    filter: {
      ...(type !== undefined && { type }),
      ...(messageId !== undefined && { messageId }),
      ...(recipient !== undefined && { recipient }),
      ...(since !== undefined && { since }),
      ...(after !== undefined && { after }),
    },
    limit,
  }
}

function readLimit(text: string | string[] | undefined): number | undefined {
  if (text === undefined) return Number.POSITIVE_INFINITY
  const limit = typeof text === 'string' && /^\d{1,9}$/.test(text) ? Number(text) : 0
  return limit > 0 ? limit : undefined
}
