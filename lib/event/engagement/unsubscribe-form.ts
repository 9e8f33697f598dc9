/** The body of a one-click unsubscription (RFC 8058 §3.2). */

/** Longest body that is read, in bytes. The longest form of the only field that counts takes about 200. */
export const formBytesMax = 1024

/**
 * Whether the form says `List-Unsubscribe=One-Click`, as application/x-www-form-urlencoded or multipart/form-data. The
 * name and value are matched without regard to case.
 */
export function isOneClick(contentType: string | undefined, body: Buffer): boolean {
  const text = body.toString('latin1')
  const type = /^\s*([\w/+.-]+)/.exec(contentType ?? '')?.[1]?.toLowerCase()
  if (type === 'multipart/form-data') {
    return /(?:^|\n)content-disposition:[^\n]*;\s*name="?list-unsubscribe"?[^\n]*\n(?:[^\r\n]+\r?\n)*\r?\none-click\s*(?:\r?\n|$)/i.test(
      text,
    )
  }
  if (type !== undefined && type !== 'application/x-www-form-urlencoded') return false
  for (const [name, value] of new URLSearchParams(text)) {
    if (name.toLowerCase() === 'list-unsubscribe' && value.trim().toLowerCase() === 'one-click') return true
  }
  return false
}
