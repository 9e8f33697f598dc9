/**
 * The tracker's HTTP server: maps requests to decisions and answers to bytes, and nothing else.
 *
 * Every path is a token and every answer is complete before it is written, so there is nothing to route, parse or
 * serialise: plain node:http. A framework would cost a part of each request for that nothing, and bring answers of its
 * own (fastify: 414 for a token of more than 100 characters, JSON for a bad escape) that had to be turned off. Limits per address are left to the proxy in front; here nobody is refused for the
 * company behind one address, and one request costs the same as another.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { EngagementEvent } from '../event.ts'
import { createServer } from '../../process/node-http.ts'
import type { HostPort } from '../../process/option.ts'
import { badRequest, type Answer } from './answer.ts'
import type { Decision, TrackerRequest } from './engagement.ts'
import { formBytesMax } from './unsubscribe-form.ts'

/** Bounds of what one client can hold; times in ms. */
export const serverLimits = {
  /** From the connection's or the last answer's end to the end of the header. */
  headersTimeout: 5000,
  /** To the end of the body. */
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  keepAliveTimeout: 5000,
  /** Request line and header, bytes; beyond it 431. */
  maxHeaderSize: 16_384,
  /** Further ones are closed at once. */
  maxConnections: 10_000,
  /** How long answers under way are waited for when the process stops. */
  closeMs: 6000,
} as const

/** Node 24.12 and later make no stream for a request without a body, which ours hardly ever have; older ones take no notice. */
const reading = { optimizeEmptyRequests: true }

export interface TrackerServerHooks {
  /** Total: never throws. */
  readonly decide: (request: TrackerRequest) => Decision
  /** Calls `done` once, later, when the event is in safe hands or lost for good; never throws, never takes long. */
  readonly record: (event: EngagementEvent, done: () => void) => void
  /** Called when the answer is handed to the socket. */
  readonly answered: (decision: Decision, request: TrackerRequest, seconds: number) => void
  readonly failed: (error: unknown) => void
}

export interface TrackerServer {
  readonly port: number
  /** Takes no more connections, finishes the answers under way. */
  close: () => Promise<void>
}

/** @throws Error with `code` EADDRINUSE and the like when it can't listen */
export async function serveTracker(
  at: HostPort,
  reusePort: boolean,
  hooks: TrackerServerHooks,
): Promise<TrackerServer> {
  let closing = false
  const server = createServer({ ...serverLimits, ...reading, noDelay: true }, asked)
  server.maxConnections = serverLimits.maxConnections
  // An expectation that is not known need not be refused (RFC 9110 §10.1.1), and a link must not break for it.
  server.on('checkExpectation', asked)

  function asked(message: IncomingMessage, response: ServerResponse): void {
    const began = performance.now()
    if (message.method !== 'POST') {
      handle(message, response, noBody, began)
      return
    }
    void readBody(message).then(body => {
      // A client that left in the midst of its form gets no answer and has not asked for anything.
      if (body) handle(message, response, body, began)
      else response.destroy()
    })
  }
  // An upgrade is not understood, so the request is answered as if it had not been asked for. After CONNECT the socket
  // is nobody's: without a listener its error would end the process, and without an end it would stay.
  server.on('connect', (_, socket) => {
    socket.on('error', () => undefined)
    socket.end(
      'HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, POST\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
      () => socket.destroy(),
    )
  })

  function handle(message: IncomingMessage, response: ServerResponse, body: Buffer, began: number): void {
    const request = requestOf(message, body)
    let decision: Decision
    try {
      decision = hooks.decide(request)
    } catch (error) {
      hooks.failed(error)
      decision = { answer: badRequest }
    }
    const finish = () => {
      try {
        send(response, decision.answer, closing || body.length > formBytesMax)
        hooks.answered(decision, request, (performance.now() - began) / 1000)
      } catch (error) {
        hooks.failed(error)
        response.destroy()
      }
    }
    if (decision.event === undefined) finish()
    else hooks.record(decision.event, finish)
  }

  await listen(server, at, reusePort)
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      closing = true
      const late = setTimeout(() => server.closeAllConnections(), serverLimits.closeMs)
      await new Promise<void>(resolve => {
        server.close(() => resolve())
      })
      clearTimeout(late)
    },
  }
}

const noBody = Buffer.alloc(0)

function requestOf(message: IncomingMessage, body: Buffer): TrackerRequest {
  const { headers } = message
  const forwardedFor = headers['x-forwarded-for']
  const realIp = headers['x-real-ip']
  return {
    method: message.method ?? '',
    target: message.url ?? '',
    userAgent: headers['user-agent'],
    forwardedFor: typeof forwardedFor === 'string' ? forwardedFor : undefined,
    realIp: typeof realIp === 'string' ? realIp : undefined,
    contentType: headers['content-type'],
    body,
    peer: message.socket.remoteAddress,
  }
}

function send(response: ServerResponse, answer: Answer, last: boolean): void {
  response.writeHead(answer.status, last ? [...answer.headers, 'Connection', 'close'] : (answer.headers as string[]))
  // A body that is a string goes out in one piece with the header, a Buffer in a second: a write less for every answer.
  if (answer.body.length === 0) response.end()
  else response.end(answer.body.toString('latin1'), 'latin1')
}

/** The body as far as one byte beyond `formBytesMax`; undefined when the client went away. */
function readBody(message: IncomingMessage): Promise<Buffer | undefined> {
  if (message.readableEnded) return Promise.resolve(noBody)
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let length = 0
    const done = (body: Buffer | undefined) => {
      message.removeAllListeners('data').resume()
      resolve(body)
    }
    message.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      if (length > formBytesMax) done(Buffer.concat(chunks).subarray(0, formBytesMax + 1))
    })
    message.once('end', () => done(Buffer.concat(chunks)))
    message.once('close', () => done(undefined)).once('error', () => done(undefined))
  })
}

function listen(server: Server, at: HostPort, reusePort: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: at.host || '::', port: at.port, reusePort, backlog: 1024 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
