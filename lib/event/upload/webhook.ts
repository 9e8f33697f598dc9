/**
 * Any URL that takes events by POST, signed so that the receiver knows who sent them and when.
 *
 * `X-Mta-Tracking-Timestamp: <Unix seconds>` and `X-Mta-Tracking-Signature: v1=<hex>`, where hex is HMAC-SHA-256, under
 * the shared secret, of the timestamp's digits, a dot and the bytes of the body as sent.
 */
import { createHmac } from 'node:crypto'
import type { Credential } from './credential.ts'
import type { EventDestination } from './event-destination.ts'
import { gzippedLines, jsonArray } from './line-body.ts'
import { sparkpostEvent, type SparkpostForm } from './sparkpost-event.ts'

export type WebhookBody = 'ndjson' | 'json'

const timestampHeader = 'x-mta-tracking-timestamp'
const signatureHeader = 'x-mta-tracking-signature'

/** @param secret signs the requests; undefined: they are not signed */
export function webhook(
  url: string,
  secret: Credential | undefined,
  body: WebhookBody,
  form: SparkpostForm,
): EventDestination {
  return {
    name: 'webhook',
    url,
    line: (event, record) => sparkpostEvent(event, record, form),
    eventAgeMsMax: undefined,
    encode: async events => (body === 'json' ? jsonArray(events) : gzippedLines(events)),
    credentials: (bytes, nowMs) => (secret ? signature(bytes, nowMs, secret.value) : {}),
    reloadCredentials: async () => secret?.reload() ?? false,
    readAnswer: () => ({}),
  }
}

/** The two headers that sign a body. */
function signature(body: Uint8Array, nowMs: number, secret: string): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1000))
  const mac = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex')
  return { [timestampHeader]: timestamp, [signatureHeader]: `v1=${mac}` }
}
