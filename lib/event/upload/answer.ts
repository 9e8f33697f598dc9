/** What an answer of an ingestion API means for the batch that was sent. */
import { retryAfterMs } from './retry-schedule.ts'

/** The answer to an HTTP request, as far as it counts. */
export interface HttpAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The beginning of the body, whatever it is; at most `answerBytesDefault` bytes of it unless asked otherwise. */
  readonly body: string
}

/** How much of an answer is read unless the request wants more. */
export const answerBytesDefault = 64 * 1024

/** `busy`: the service asks for patience. `fault`: it failed, for which this very batch may be to blame. */
export type RetryCause = 'busy' | 'fault'

export type Verdict =
  /** Taken over: acknowledge. */
  | { readonly action: 'accept' }
  /** Something in the batch is refused: look for it by halving, for it will be refused again. */
  | { readonly action: 'bisect'; readonly reason: string }
  /** Too large: send in halves. */
  | { readonly action: 'halve'; readonly reason: string }
  /** The service is busy or out of order: again after a while, the same bytes. */
  | {
      readonly action: 'retry'
      readonly cause: RetryCause
      readonly reason: string
      readonly afterMs?: number | undefined
    }
  /** The configuration is wrong (key, address): keep everything, one try a minute until someone mended it. */
  | { readonly action: 'keep'; readonly reason: string }

/**
 * | status | action |
 * |---|---|
 * | 2xx | accept |
 * | 400, 409, 422 | bisect |
 * | 413 | halve |
 * | 408, 420, 425, 429, 5xx | retry, after `Retry-After` when given |
 * | 401, 403, 404, 405, 3xx and all others | keep |
 *
 * Whether the body is JSON plays no part: proxies answer in HTML.
 */
export function classifyAnswer(answer: HttpAnswer, nowMs: number): Verdict {
  const { status } = answer
  if (status >= 200 && status < 300) return { action: 'accept' }
  const reason = answerReason(answer)
  const retry = (cause: RetryCause): Verdict => {
    return { action: 'retry', cause, reason, afterMs: retryAfterMs(header(answer, 'retry-after'), nowMs) }
  }
  switch (status) {
    case 400:
    case 409:
    case 422:
      return { action: 'bisect', reason }
    case 413:
      return { action: 'halve', reason }
    case 420:
    case 425:
    case 429:
      return retry('busy')
    case 408:
      return retry('fault')
    default:
      return status >= 500 ? retry('fault') : { action: 'keep', reason }
  }
}

/** The first value of a header. */
function header(answer: HttpAnswer, name: string): string | undefined {
  const value = answer.headers[name]
  return typeof value === 'string' ? value : value?.[0]
}

/** `400: required field is missing`: fit for a log line, at most 200 characters of the service's words, no addresses. */
export function answerReason({ status, body }: HttpAnswer): string {
  const message = serviceMessage(body)
  return message === '' ? `HTTP ${status}` : `HTTP ${status}: ${message}`
}

/** The body as JSON; undefined when it is none. */
export function answerJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

const messageCharsMax = 200

function serviceMessage(body: string): string {
  const value = answerJson(body)
  if (typeof value !== 'object' || value === null) return ''
  const { errors, error, message } = value as Record<string, unknown>
  const texts = [...(Array.isArray(errors) ? (errors as unknown[]).slice(0, 5) : []), error, message]
    .flatMap(one => (typeof one === 'object' && one !== null ? errorTexts(one) : [one]))
    .filter(text => typeof text === 'string' && text !== '')
  return presentable(texts.join('; '))
}

function errorTexts(error: object): unknown[] {
  const { message, description } = error as Record<string, unknown>
  return [message, description]
}

/** Control characters out, addresses masked, cut to 200 characters. */
export function presentable(text: string): string {
  return text
    .slice(0, 4 * messageCharsMax)
    .replaceAll(/[^\s"'<>:;,]*@[^\s"'<>:;,]*/g, '[address]')
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, messageCharsMax)
}
