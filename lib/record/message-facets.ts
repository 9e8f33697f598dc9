/** What a generator says of a message in headers of its own, as wrapper and acct_etl read it: the same for both. */

/** Longest job that is kept, in characters. */
const jobCharsMax = 256

/** `x-sp-subaccount-id`: a number of at most ten digits; undefined for anything else. */
export function readSubaccount(text: string): number | undefined {
  const digits = text.trim()
  return /^\d{1,10}$/.test(digits) ? Number(digits) : undefined
}

/** `x-job`, cut to 256 characters; undefined when there is none. */
export function readJob(text: string): string | undefined {
  return text === '' ? undefined : text.slice(0, jobCharsMax)
}
