/** How a token stands in a URL: below the tracking URL, one path segment. */

/**
 * Reads a tracking URL: http or https, a host, perhaps a path; no query, no fragment, no credentials.
 *
 * @returns without slashes at its end
 * @throws Error that says what was expected
 */
export function readTrackingUrl(text: string): string {
  let url: URL | undefined
  try {
    url = new URL(text)
  } catch {
    // Judged below.
  }
  if (
    url === undefined ||
    !/^https?:\/\/[!-~]+$/i.test(text) ||
    /[?#\\"'<>]/.test(text) ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw new Error('expected a URL such as https://track.example.com, without query and fragment')
  }
  return text.replace(/\/+$/, '')
}

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
