/** An outcome in the form that the event ingestion API takes. */
import type { Outcome, OutcomeType } from './outcome.ts'

export interface ApiEvent {
  readonly message_id: string
  readonly event_type: OutcomeType
  /** RFC 3339, UTC. Absent when the log line bore no time. */
  readonly timestamp?: string
  readonly smtp_code?: number
  readonly smtp_description: string
  readonly recipient: string
}

export function apiEvent(outcome: Outcome): ApiEvent {
  const timestamp = rfc3339(outcome.at)
  return {
    message_id: outcome.uuid,
    event_type: outcome.type,
    ...(timestamp !== undefined && { timestamp }),
    ...(outcome.code !== undefined && { smtp_code: outcome.code }),
    smtp_description: outcome.description,
    recipient: outcome.recipient,
  }
}

/**
 * `2026-11-21T16:24:03.867203Z`; without a fraction when there is none.
 * @param micros Unix time in microseconds; undefined is returned for what is no time
 */
export function rfc3339(micros: number): string | undefined {
  if (!Number.isFinite(micros) || Math.abs(micros) >= 253_402_300_800_000_000) return undefined
  const seconds = Math.floor(micros / 1_000_000)
  const fraction = micros - seconds * 1_000_000
  // Many events share their second.
  if (seconds !== cache.seconds) {
    cache.seconds = seconds
    cache.text = new Date(seconds * 1000).toISOString().slice(0, 19)
  }
  const { text } = cache
  return fraction === 0 ? `${text}Z` : `${text}.${String(Math.floor(fraction)).padStart(6, '0')}Z`
}

const cache = { seconds: Number.NaN, text: '' }
