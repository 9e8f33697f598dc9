import type { TrackingEvent } from './event.ts'

/** The event in a text that was queued or kept as JSON; undefined when it is none. What every event has is looked at, no more. */
export function readEvent(text: string): TrackingEvent | undefined {
  let value: Partial<TrackingEvent> | null
  try {
    value = JSON.parse(text) as Partial<TrackingEvent> | null
  } catch {
    return undefined
  }
  const isEvent =
    typeof value?.id === 'string' &&
    typeof value.type === 'string' &&
    typeof value.messageId === 'string' &&
    typeof value.at === 'number'
  return isEvent ? (value as TrackingEvent) : undefined
}
