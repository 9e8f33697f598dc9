/** An ingestion endpoint for tests: takes gzipped NDJSON as SparkPost does, answers as scripted, keeps a ledger. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'

export interface ReceivedEvent {
  readonly event_id: string
  readonly message_id: string
  readonly type: string
  readonly timestamp: string
  readonly grouping: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface IngestRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  /** As sent. */
  readonly body: Buffer
  readonly events: readonly ReceivedEvent[]
}

export interface ScriptedAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Waits before it answers. */
  readonly delayMs?: number
  /** Takes the events over, as a 200 does, but breaks the connection instead of answering. */
  readonly loseAnswer?: boolean
}

export interface IngestEndpoint {
  readonly url: string
  readonly port: number
  /** How often each event was taken over, by id. */
  readonly ledger: ReadonlyMap<string, number>
  readonly events: readonly ReceivedEvent[]
  readonly requests: readonly IngestRequest[]
  /** What was wrong with requests; a test expects none. */
  readonly flaws: readonly string[]
  /** Asked for each POST; undefined: 200 with a batch id. */
  answer: (request: IngestRequest) => ScriptedAnswer | undefined
  /** Asked for each GET. */
  answerGet: (url: string) => ScriptedAnswer
  close: () => Promise<void>
}

/** @param port of 127.0.0.1; 0: a free one */
export async function startIngestEndpoint(port = 0): Promise<IngestEndpoint> {
  const ledger = new Map<string, number>()
  const events: ReceivedEvent[] = []
  const requests: IngestRequest[] = []
  const flaws: string[] = []
  let batch = 0
  const endpoint = {
    url: '',
    port: 0,
    ledger,
    events,
    requests,
    flaws,
    answer: (() => undefined) as IngestEndpoint['answer'],
    answerGet: (() => ({ status: 404 })) as IngestEndpoint['answerGet'],
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => void respond(request, response, Buffer.concat(chunks)))
  })
  const respond = async (request: IncomingMessage, response: ServerResponse, body: Buffer) => {
    const { method = '', url = '', headers } = request
    const received = method === 'POST' ? readEvents(headers, body, flaws) : []
    const seen = { method, url, headers, body, events: received }
    requests.push(seen)
    const answer = method === 'POST' ? endpoint.answer(seen) : endpoint.answerGet(url)
    if (answer?.delayMs !== undefined) await new Promise(resolve => setTimeout(resolve, answer.delayMs).unref())
    if (response.destroyed) return
    const status = answer?.status ?? 200
    if (method === 'POST' && status >= 200 && status < 300) {
      for (const event of received) {
        ledger.set(event.event_id, (ledger.get(event.event_id) ?? 0) + 1)
        events.push(event)
      }
    }
    if (answer?.loseAnswer === true) {
      request.socket.destroy()
      return
    }
    batch += 1
    const id = `00000000-0000-4000-8000-${String(batch).padStart(12, '0')}`
    response.writeHead(status, { 'content-type': 'application/json', ...answer?.headers })
    response.end(
      answer?.body ?? JSON.stringify(status < 300 ? { results: { id } } : { errors: [{ message: 'scripted' }] }),
    )
  }
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  const address = server.address()
  endpoint.port = typeof address === 'object' && address !== null ? address.port : 0
  endpoint.url = `http://127.0.0.1:${endpoint.port}`
  return endpoint
}

function readEvents(headers: IncomingMessage['headers'], body: Buffer, flaws: string[]): ReceivedEvent[] {
  const isNdjson = headers['content-type'] === 'application/x-ndjson' && headers['content-encoding'] === 'gzip'
  const isJson = headers['content-type'] === 'application/json' && headers['content-encoding'] === undefined
  if (!isNdjson && !isJson)
    flaws.push(`content type ${headers['content-type']}, encoding ${headers['content-encoding']}`)
  try {
    const text = (isNdjson ? gunzipSync(body) : body).toString()
    if (Buffer.byteLength(text) > 5_000_000 || body.length > 5_000_000) flaws.push(`request of ${text.length} bytes`)
    if (isNdjson && !text.endsWith('\n')) flaws.push('no line end at the end')
    const values = isNdjson
      ? text
          .trimEnd()
          .split('\n')
          .map(line => JSON.parse(line) as unknown)
      : (JSON.parse(text) as unknown[])
    return values.map(value => readEvent(value, flaws))
  } catch (error) {
    flaws.push((error as Error).message)
    return []
  }
}

function readEvent(value: unknown, flaws: string[]): ReceivedEvent {
  const { msys } = value as { msys: Record<string, Record<string, unknown>> }
  const [grouping = '', ...more] = Object.keys(msys)
  const fields = msys[grouping] ?? {}
  const { event_id, message_id, type, timestamp, delv_method, recv_method } = fields
  if (!['track_event', 'message_event', 'unsubscribe_event'].includes(grouping) || more.length > 0) {
    flaws.push(`grouping ${grouping}`)
  }
  if (typeof event_id !== 'string' || !/^\d{1,19}$/.test(event_id) || BigInt(event_id) >= 2n ** 63n) {
    flaws.push(`event_id ${String(event_id)}`)
  }
  if (typeof message_id !== 'string' || message_id === '') flaws.push('no message_id')
  if (typeof type !== 'string') flaws.push('no type')
  if (typeof timestamp !== 'string' || !/^\d{10}$/.test(timestamp)) flaws.push(`timestamp ${String(timestamp)}`)
  if (delv_method !== 'esmtp' && recv_method !== 'esmtp') flaws.push('no method')
  return {
    event_id: String(event_id),
    message_id: String(message_id),
    type: String(type),
    timestamp: String(timestamp),
    grouping,
    fields,
  }
}
