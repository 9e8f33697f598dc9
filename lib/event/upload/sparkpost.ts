/** SparkPost's Events Ingest API. */
import { answerJson, type HttpAnswer, presentable } from './answer.ts'
import type { Credential } from './credential.ts'
import type { BatchStatus, EventDestination } from './event-destination.ts'
import { gzippedLines } from './line-body.ts'
import { sparkpostEvent, type SparkpostForm } from './sparkpost-event.ts'

export const sparkpostEndpointDefault = 'https://api.sparkpost.com'

const ingestPath = '/api/v1/ingest/events'
const statusPath = '/api/v1/events/ingest'
const failuresPath = '/api/v1/ingest/events/failures'

/** Events older than that are dropped by the service. */
const eventAgeMsMax = 24 * 3_600_000

/** The failed events of a batch, which was itself at most 5 MB. */
const statusBytesMax = 8_000_000

/** @param endpoint origin, with or without the path of the API */
export function sparkpost(endpoint: string, key: Credential, form: SparkpostForm): EventDestination {
  const base = endpoint.endsWith(ingestPath) ? endpoint.slice(0, -ingestPath.length) : endpoint
  const credentials = () => ({ authorization: key.value })
  return {
    name: 'sparkpost',
    url: base + ingestPath,
    line: (event, record) => sparkpostEvent(event, record, form),
    eventAgeMsMax,
    encode: gzippedLines,
    credentials,
    reloadCredentials: () => key.reload(),
    isRefusal: ({ body }) => {
      const answer = answerJson(body)
      const errors = member(answer, 'errors')
      return Array.isArray(errors) && errors.length > 0 && member(answer, 'results') === undefined
    },
    readAnswer: answer => {
      const id = batchId(answer)
      return id === undefined ? {} : { batchId: id }
    },
    batchStatus: async (id, transport, abandon) => {
      const ask = (url: string) =>
        transport.send({ method: 'GET', url, headers: credentials(), answerBytesMax: statusBytesMax }, abandon)
      try {
        return await readStatus(id, ask, base)
      } catch {
        return { state: 'unknown' }
      }
    },
  }
}

function batchId({ body }: HttpAnswer): string | undefined {
  const id = member(member(answerJson(body), 'results'), 'id')
  return typeof id === 'string' && /^[\w-]{1,64}$/.test(id) ? id : undefined
}

async function readStatus(id: string, ask: (url: string) => Promise<HttpAnswer>, base: string): Promise<BatchStatus> {
  const answer = await ask(`${base}${statusPath}?batch_ids=${id}`)
  if (answer.status !== 200) return { state: 'unknown' }
  const results = member(answerJson(answer.body), 'results')
  const entries = (Array.isArray(results) ? (results as unknown[]) : []).filter(one => member(one, 'batch_id') === id)
  if (entries.length === 0) return { state: 'unknown' }
  for (const entry of entries) {
    const failed = Number(member(entry, 'number_failed') ?? 0)
    const kind = member(entry, 'error_type')
    const errorType = typeof kind === 'string' ? kind : ''
    if (member(entry, 'type') !== 'error' && !(failed > 0)) continue
    // What arrived twice is there.
    if (/duplicate/i.test(errorType)) continue
    const reason = `refused after acceptance: ${presentable(errorType) || 'no reason given'}`
    if (member(entry, 'retryable') === true) return { state: 'retryable', reason }
    const some = Number(member(entry, 'number_succeeded') ?? 0) > 0
    const ids = some ? await failedIds(id, ask, base) : undefined
    return ids ? { state: 'failed', reason, ids } : { state: 'failed', reason }
  }
  return { state: 'accepted' }
}

/** The ids of the events that failed; undefined when the service does not tell. */
async function failedIds(
  id: string,
  ask: (url: string) => Promise<HttpAnswer>,
  base: string,
): Promise<ReadonlySet<string> | undefined> {
  const answer = await ask(`${base}${failuresPath}/${id}`)
  if (answer.status !== 200) return undefined
  const ids = new Set<string>()
  // The events may stand there as objects or, with escaped quotes, as texts.
  for (const match of answer.body.matchAll(/event_id\\*"\s*:\s*\\*"(\d{1,20})\b/g)) {
    if (match[1] !== undefined) ids.add(match[1])
  }
  return ids.size > 0 ? ids : undefined
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}
