/** The subject of a message, for lists. */

/** Longest subject that is shown, in characters. */
const charsMax = 200

/** How far into the message the subject is looked for, in bytes. */
const headerBytesMax = 64 * 1024

/** The decoded subject, or an empty text. Never throws, whatever the bytes. */
export function subjectOf(message: Buffer): string {
  const start = message.subarray(0, headerBytesMax).toString()
  const end = start.search(/\r?\n\r?\n/)
  const header = end < 0 ? start : start.slice(0, end)
  const match = /^subject:[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)/im.exec(header)
  return decodeWords((match?.[1] ?? '').replaceAll(/\r?\n/g, '')).slice(0, charsMax)
}

/** RFC 2047 encoded words, as far as the platform knows their charset. */
function decodeWords(text: string): string {
  const joined = text.replaceAll(/(\?=)\s+(?==\?)/g, '$1')
  return joined.replaceAll(
    /=\?([\w-]+)(?:\*[\w-]*)?\?([bq])\?([^?\s]*)\?=/gi,
    (word, charset: string, form: string, coded: string) => {
      try {
        const bytes =
          form.toLowerCase() === 'b'
            ? Buffer.from(coded, 'base64')
            : Buffer.from(
                coded
                  .replaceAll('_', ' ')
                  .replaceAll(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
                'latin1',
              )
        return new TextDecoder(charset).decode(bytes)
      } catch {
        return word
      }
    },
  )
}
