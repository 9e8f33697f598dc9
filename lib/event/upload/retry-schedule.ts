/** When something that failed is tried again. */

const firstDelayMs = 1_000
const delayMsMax = 60_000
/** Each delay is spread by this share in both directions, so that many processes do not come back at once. */
const jitter = 0.2

/** Longest wait that a service may ask for. */
const retryAfterMsMax = 15 * 60_000

/** How long after a refused key or address the next try is made. */
export const keepDelayMs = 60_000

/**
 * The wait after a number of failures in a row: 1, 2, 4 … 60 s, give or take 20 %.
 * @param failures 1 after the first failure
 * @param random 0 … 1
 */
export function retryDelayMs(failures: number, random: number = Math.random()): number {
  const delayMs = Math.min(delayMsMax, firstDelayMs * 2 ** Math.min(Math.max(0, failures - 1), 10))
  return Math.round(delayMs * (1 - jitter + 2 * jitter * random))
}

/**
 * The wait that a `Retry-After` header asks for (RFC 9110 §10.2.3: seconds or a date), at most 15 minutes.
 * Undefined when it is absent or unreadable.
 */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  const text = value.trim()
  const ms = /^\d{1,9}$/.test(text)
    ? Number(text) * 1000
    : /[A-Za-z]/.test(text)
      ? Date.parse(text) - nowMs
      : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(retryAfterMsMax, Math.max(0, ms))
}
