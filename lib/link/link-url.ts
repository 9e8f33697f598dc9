/** How a token stands in a URL: below the tracking URL, one path segment. */

/** The URL of a token below a tracking URL, which may end with a slash. */
export function linkUrl(trackingUrl: string, token: string): string {
  return `${trackingUrl.replace(/\/+$/, '')}/${token}`
}

/**
 * The token in a URL or path, or in a text that is one: what stands after the last slash, without query and fragment.
 * The `=` of the 2020 tokens may be percent-encoded.
 */
export function tokenOfUrl(url: string): string {
  const path = url
    .trim()
    .replace(/[?#].*$/s, '')
    .replace(/\/$/, '')
  return path.slice(path.lastIndexOf('/') + 1).replaceAll(/%3d/gi, '=')
}
