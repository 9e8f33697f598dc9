/** The custom-SMTP event endpoint for tests: checks what it gets, answers as scripted, keeps a ledger. */
import { createServer } from 'node:http'

export interface PostedEvent {
  readonly message_id: string
  readonly event_type: string
  readonly timestamp?: string
  readonly smtp_code?: number
  readonly smtp_description?: string
  readonly recipient?: string
}

export interface PostedRequest {
  readonly atMs: number
  readonly key: string | undefined
  readonly events: readonly PostedEvent[]
}

export interface EndpointAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Takes the events over but breaks the connection instead of answering. */
  readonly loseAnswer?: boolean
}

export interface CustomSmtpEndpoint {
  readonly url: string
  readonly requests: readonly PostedRequest[]
  /** Of requests answered 2xx. */
  readonly events: readonly PostedEvent[]
  /** How often each message was taken over. */
  readonly ledger: ReadonlyMap<string, number>
  /** What was wrong with requests; a test expects none. */
  readonly flaws: readonly string[]
  /** Asked for each request; undefined: 200. */
  answer: (request: PostedRequest) => EndpointAnswer | undefined
  close: () => Promise<void>
}

const types = new Set(['delivered', 'bounced', 'deferred', 'soft_bounced'])

export async function startCustomSmtpEndpoint(): Promise<CustomSmtpEndpoint> {
  const requests: PostedRequest[] = []
  const events: PostedEvent[] = []
  const ledger = new Map<string, number>()
  const flaws: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const key = request.headers['x-sp-event-apikey']
      const posted = {
        atMs: Date.now(),
        key: typeof key === 'string' ? key : undefined,
        events: readEvents(Buffer.concat(chunks).toString(), flaws),
      }
      if (request.url !== path) flaws.push(`posted to ${request.url}`)
      if (request.headers['content-type'] !== 'application/json') flaws.push('not application/json')
      requests.push(posted)
      const answer = endpoint.answer(posted) ?? { status: 200 }
      if (answer.status < 300) {
        for (const event of posted.events) {
          events.push(event)
          ledger.set(event.message_id, (ledger.get(event.message_id) ?? 0) + 1)
        }
      }
      if (answer.loseAnswer === true) request.socket.destroy()
      else response.writeHead(answer.status, answer.headers).end('{}')
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const endpoint: CustomSmtpEndpoint = {
    url: `http://127.0.0.1:${port}${path}`,
    requests,
    events,
    ledger,
    flaws,
    answer: () => undefined,
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return endpoint
}

const path = '/api/v1/tpsp/custom-smtp/events'

function readEvents(body: string, flaws: string[]): PostedEvent[] {
  try {
    const { events } = JSON.parse(body) as { events: PostedEvent[] }
    if (events.length === 0 || events.length > 100) flaws.push(`${events.length} events`)
    for (const event of events) {
      if (!/^[0-9a-f-]{36}$/.test(event.message_id)) flaws.push(`message_id ${event.message_id}`)
      if (!types.has(event.event_type)) flaws.push(`event_type ${event.event_type}`)
      if (event.timestamp !== undefined && Number.isNaN(Date.parse(event.timestamp))) flaws.push('timestamp')
    }
    return events
  } catch (error) {
    flaws.push((error as Error).message)
    return []
  }
}
