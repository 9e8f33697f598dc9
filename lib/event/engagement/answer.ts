/** What the tracker says to a request, as values: status, headers and body are complete before a byte is written. */

export interface Answer {
  readonly status: number
  /** Name, value, name, value …: the form that node:http writes without further copying. Complete, but for `Date`. */
  readonly headers: readonly string[]
  /** Not sent in answer to HEAD, but counted in Content-Length. */
  readonly body: Buffer
  /** Label of the metrics and of the access log. */
  readonly kind: AnswerKind
}

export const answerKinds = [
  'pixel',
  'redirect',
  'confirm',
  'unsubscribe_page',
  'unsubscribed',
  'robots',
  'bad_request',
  'not_found',
  'method_not_allowed',
  'too_large',
  'path_too_long',
  'revoked',
] as const

export type AnswerKind = (typeof answerKinds)[number]

/**
 * Sent with every answer. An answer is meant for one recipient and one moment, so nobody may keep it; what leaves from
 * here must not carry the link along in a Referer; none of the pages needs a script, a style or an image.
 */
const everywhere = [
  ['Cache-Control', 'no-store, no-cache, private, max-age=0'],
  ['Pragma', 'no-cache'],
  ['Referrer-Policy', 'no-referrer'],
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Robots-Tag', 'noindex, nofollow'],
  ['Content-Security-Policy', "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"],
].flat()

function answer(kind: AnswerKind, status: number, headers: readonly string[], body: Buffer): Answer {
  return { kind, status, headers: [...headers, 'Content-Length', String(body.length), ...everywhere], body }
}

function plain(kind: AnswerKind, status: number, text: string, headers: readonly string[] = []): Answer {
  return answer(kind, status, ['Content-Type', 'text/plain; charset=utf-8', ...headers], Buffer.from(`${text}\n`))
}

/** A page of ours, complete HTML. */
export function page(kind: AnswerKind, status: number, html: string): Answer {
  return answer(kind, status, ['Content-Type', 'text/html; charset=utf-8'], Buffer.from(html))
}

/** GIF89a, one transparent pixel, 43 bytes. */
const transparentGif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64')

/** The tracking pixel. Web mail shows it on pages of another site, which must stay possible. */
export const pixel: Answer = answer(
  'pixel',
  200,
  ['Content-Type', 'image/gif', 'Cross-Origin-Resource-Policy', 'cross-origin'],
  transparentGif,
)

const empty = Buffer.alloc(0)
const redirectTail = ['Content-Length', '0', ...everywhere]

/** @param location in the form of `headerLocation`: ASCII, no control characters */
export function redirect(location: string): Answer {
  return { kind: 'redirect', status: 302, headers: ['Location', location, ...redirectTail], body: empty }
}

export const robots: Answer = plain('robots', 200, 'User-agent: *\nDisallow: /')
export const badRequest: Answer = plain('bad_request', 400, 'This is not a request that is understood here.')
export const notFound: Answer = plain('not_found', 404, 'There is nothing here: the link is incomplete or was altered.')
export const tooLarge: Answer = plain('too_large', 413, 'The request is too large.', ['Connection', 'close'])
export const pathTooLong: Answer = plain('path_too_long', 414, 'The address is too long to be one of ours.')

/** @param allow the methods that would have been understood, as in RFC 9110 §10.2.1 */
export function methodNotAllowed(allow: string): Answer {
  return plain('method_not_allowed', 405, 'This method is not understood here.', ['Allow', allow])
}
