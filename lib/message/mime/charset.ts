/** What a part's charset means for reading its markup byte by byte. */
import { TextDecoder } from 'node:util'

/** Charsets in which bytes below 0x80 are not always the ASCII character of that number. */
const notAscii =
  /^(?:utf-?16|utf-?32|ucs-?[24]|iso-10646-ucs|csunicode$|unicode(?:fffe)?$|utf-?7|unicode-1-1-utf-7|csunicode11utf7|x-imap4|iso-2022-|csiso2022|hz(?:-gb-2312)?$|x-ebcdic|ebcdic|ibm-?(?:037|1026|1047|1140|273|277|278|280|284|285|297|420|424|500|870|871|880|905|918)|cp-?(?:037|1026|1047|1140|273|277|278|280|284|285|297|420|424|500|870|871|880|905|918)|scsu|bocu|punycode)/i

/** Stands for a charset that readers disagree on: no name has this character. */
export const unclearCharset = '*'

/** Bytes of a text that are looked at for NULs, which no text in an ASCII-compatible charset has. */
const nulSearchedBytes = 1024

/**
 * Whether the ASCII bytes that markup is made of stand for themselves in this charset. So they do in UTF-8, the ISO
 * 8859 and Windows families, KOI8, and also in Shift_JIS, GBK, Big5 and EUC: their second bytes are never `< > " ' = / &`
 * or white space. Unknown names are taken for such a charset.
 *
 * @param bytes the text, one character a byte: a byte order mark or NULs at its beginning overrule the name
 */
export function isAsciiCompatible(charset: string | undefined, bytes: string): boolean {
  if (bytes.startsWith('\xFE\xFF') || bytes.startsWith('\xFF\xFE') || bytes.startsWith('\0\0\xFE\xFF')) return false
  if (charset === unclearCharset || bytes.slice(0, nulSearchedBytes).includes('\0')) return false
  return charset === undefined || !notAscii.test(charset)
}

/** Whether it is a name of a charset in the Encoding standard. */
export function isKnownCharset(charset: string): boolean {
  return decoderFor(charset) !== undefined
}

const decoders = new Map<string, TextDecoder | undefined>()
const decodersMax = 64

/**
 * Decodes text of a part.
 *
 * @param bytes one character a byte
 * @returns undefined for an unknown charset and for bytes that are not in it
 */
export function decodeText(bytes: string, charset: string | undefined): string | undefined {
  const decoder = decoderFor(charset ?? 'utf-8')
  try {
    return decoder?.decode(Buffer.from(bytes, 'latin1'))
  } catch {
    return undefined
  }
}

/** Whether the charset is UTF-8, or plain ASCII, or not named. */
export function isUtf8(charset: string | undefined): boolean {
  return (
    charset === undefined || charset === 'us-ascii' || charset === 'ascii' || decoderFor(charset)?.encoding === 'utf-8'
  )
}

function decoderFor(charset: string): TextDecoder | undefined {
  // What calls itself ASCII and is not is mostly UTF-8; bytes that are neither make the decoder fail.
  const label = charset === 'us-ascii' || charset === 'ascii' ? 'utf-8' : charset
  if (decoders.has(label)) return decoders.get(label)
  let decoder
  try {
    decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true })
  } catch {
    decoder = undefined
  }
  if (decoders.size < decodersMax) decoders.set(label, decoder)
  return decoder
}
