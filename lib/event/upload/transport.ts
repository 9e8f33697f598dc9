/** HTTP requests of the uploader: kept-open connections, HTTP/1.1 or 2, proxies from the environment, hard time limits. */
import { createRequire } from 'node:module'
import { gunzipSync } from 'node:zlib'
import type undici from 'undici'
import type { Agent, Dispatcher } from 'undici'
import { answerBytesDefault, type HttpAnswer } from './answer.ts'

/** Parts of undici: four fifths of it (fetch, mocks, caches, WebSocket) would be 5 MB of memory that nobody uses here. */
const part = createRequire(import.meta.url)
const AgentPart = part('undici/lib/dispatcher/agent') as typeof Agent
/** What `undici.request` makes of its arguments. */
const request = part('undici/lib/api/api-request') as (
  this: Dispatcher,
  options: Dispatcher.RequestOptions,
) => Promise<Dispatcher.ResponseData>

export interface HttpRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** How much of the answer is wanted. Default 64 KiB. */
  readonly answerBytesMax?: number
}

export interface Transport {
  /**
   * One request. Redirects are never followed: they would carry the key elsewhere.
   * @throws Error, in its own words, when no answer came within the time limit
   */
  send: (request: HttpRequest, signal?: AbortSignal) => Promise<HttpAnswer>
  close: () => Promise<void>
}

export interface TransportOptions {
  /** From the first byte sent to the last read. Default 30 s. */
  readonly timeoutMs?: number
  /** Connections kept to one origin. Default 8. */
  readonly connectionsMax?: number
}

/** Needs all of undici. */
function proxyAgent(limits: Agent.Options): Dispatcher {
  const { EnvHttpProxyAgent } = part('undici') as typeof undici
  return new EnvHttpProxyAgent(limits)
}

/** Whether the environment names a proxy (`HTTP_PROXY`, `HTTPS_PROXY`, in either case). */
function proxyWanted(env: Readonly<Record<string, string | undefined>>): boolean {
  return ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].some(name => (env[name] ?? '') !== '')
}

/** `NO_PROXY` is honoured as well. */
export function openTransport(options: TransportOptions = {}, env = process.env): Transport {
  const timeoutMs = options.timeoutMs ?? 30_000
  const limits = {
    allowH2: true,
    connections: options.connectionsMax ?? 8,
    connect: { timeout: Math.min(10_000, timeoutMs) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    keepAliveTimeout: 30_000,
    // One request at a time on an HTTP/1.1 connection: pipelined batches would share one fate.
    pipelining: 1,
  }
  const dispatcher = proxyWanted(env) ? proxyAgent(limits) : new AgentPart(limits)
  let closed: Promise<void> | undefined
  return {
    send: async ({ method, url, headers, body, answerBytesMax = answerBytesDefault }, signal) => {
      // A signal of `AbortSignal.timeout` or `any` would live on for the time limit, thousands of them in a busy minute.
      const given = new AbortController()
      const abandon = () => given.abort()
      let isLate = false
      const timer = setTimeout(() => {
        isLate = true
        abandon()
      }, timeoutMs)
      if (signal?.aborted) abandon()
      signal?.addEventListener('abort', abandon, { once: true })
      try {
        const { origin, pathname, search } = new URL(url)
        const response = await request.call(dispatcher, {
          origin,
          path: pathname + search,
          method,
          headers,
          ...(body && { body }),
          signal: given.signal,
        })
        return {
          status: response.statusCode,
          headers: response.headers,
          body: text(await beginning(response.body, answerBytesMax), answerBytesMax),
        }
      } catch (error) {
        throw new Error(isLate ? `no answer within ${timeoutMs / 1000} s` : failure(error), { cause: error })
      } finally {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abandon)
      }
    },
    close: () => (closed ??= dispatcher.close()),
  }
}

/** The first bytes of a body. What follows is not waited for. */
async function beginning(body: Dispatcher.ResponseData['body'], bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    // Leaving the loop destroys the stream, and with it the connection: nobody sends so much in earnest.
    if (bytes >= bytesMax) break
  }
  return Buffer.concat(chunks).subarray(0, bytesMax)
}

/** Text of a body, which may be gzipped, announced or not; unreadable compression reads as empty. */
function text(body: Buffer, bytesMax: number): string {
  if (body[0] !== 0x1f || body[1] !== 0x8b) return body.toString('utf8')
  try {
    return gunzipSync(body, { maxOutputLength: bytesMax }).toString('utf8')
  } catch {
    return ''
  }
}

/** Code or name of a failure; never its message, which may repeat a proxy's URL with its password. */
function failure(error: unknown): string {
  const { errors, cause, name } = error as { errors?: unknown[]; cause?: unknown; name?: string }
  const code = codeOf(error) ?? codeOf(errors?.[0]) ?? codeOf(cause) ?? name ?? 'unknown'
  return `no connection (${code})`
}

function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}
