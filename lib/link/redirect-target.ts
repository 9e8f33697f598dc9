/** Which URLs we ever redirect to. */

// A scheme, an authority that begins with neither slash nor backslash, and no control character, space or backslash
// before the path ends the authority: browsers drop tabs and line ends, and take `\` for `/`, so that what is seen and
// where it leads would differ.
const target = /^https?:\/\/[^/\\?#\s\p{Cc}]+(?:[/?#]|$)/iu
const control = /\p{Cc}/u

/**
 * Whether a click may lead there: http or https, a host, no control characters and no backslash in the host. Anything
 * else of the text is the author's business.
 */
export function isRedirectTarget(url: string): boolean {
  return target.test(url) && !control.test(url)
}
