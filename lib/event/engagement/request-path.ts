/** What the path of a request asks for. */

/** Longest request target that is looked at, in bytes: the longest token, 8,000 characters, below a path. */
export const pathBytesMax = 8192

/** A token is one path segment of base64url; `=` pads those of the older format. */
const segment = /^[\w-]+={0,2}$/
/** Nearly all requests: nothing but a token of ours. */
const nothingElse = /^\/[\w-]+$/

/**
 * The one path segment after the tracker's address, or undefined when the path is not of that form. What follows a `?`
 * or `#` was added on the way (advertising click ids, say) and is not part of the link.
 *
 * @param target request target, in origin or absolute form (RFC 9112 §3.2)
 * @param prefix path of the tracking URL without a slash at its end, '' when it has none. Optional in the request, for
 *   a proxy may or may not take it off.
 */
export function tokenOf(target: string, prefix: string): string | undefined {
  if (nothingElse.test(target)) return target.slice(1)
  let path = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '')
  const end = path.search(/[?#]/)
  if (end >= 0) path = path.slice(0, end)
  if (prefix !== '' && path.startsWith(`${prefix}/`)) path = path.slice(prefix.length)
  if (!path.startsWith('/')) return undefined
  path = path.slice(1)
  if (path.includes('%')) {
    // Some clients escape the padding. Nothing that is not a token may come into being by unescaping: it is tested after.
    try {
      path = decodeURIComponent(path)
    } catch {
      return undefined
    }
  }
  return segment.test(path) ? path : undefined
}

/** Whether the request asks for `/robots.txt`. */
export function asksForRobots(target: string): boolean {
  return /^(?:https?:\/\/[^/?#]*)?\/robots\.txt(?:[?#]|$)/i.test(target)
}
