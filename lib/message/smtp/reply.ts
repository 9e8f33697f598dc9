/**
 * An SMTP reply (RFC 5321 section 4.2): code and text lines. The text is held as the bytes that came (latin1), with the
 * enhanced status code where one was given, so that a reply passes through unchanged.
 */
export interface Reply {
  /** 200 … 599. */
  readonly code: number
  /** At least one; without code and separator, without control characters. */
  readonly lines: readonly string[]
}

/** A reply of our own. `enhanced` is an RFC 3463 code such as `4.4.2`; empty where none belongs (greeting, EHLO, 3xx). */
export function localReply(code: number, enhanced: string, text: string): Reply {
  return { code, lines: [enhanced === '' ? text : `${enhanced} ${text}`] }
}

/** The bytes of a reply, as a latin1 string with CRLF at the end of each line. */
export function formatReply({ code, lines }: Reply): string {
  if (lines.length === 1) return `${code} ${lines[0]}\r\n`
  const last = lines.length - 1
  return lines.map((line, index) => `${code}${index < last ? '-' : ' '}${line}\r\n`).join('')
}

/** 2xx. */
export function isPositive(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300
}

/** Longest reply that is read, all lines together; a peer that sends more is no SMTP server. */
export const replyBytesMax = 64 * 1024

// oxlint-disable-next-line no-control-regex -- control characters are what must not pass
const control = /[\x00-\x1f\x7f]/
const controls = new RegExp(control, 'g')

/** The reply code that a line begins with: three digits, the first from 2 to 5. */
function codeOf(line: string): number | undefined {
  const [first, second, third] = [digitAt(line, 0), digitAt(line, 1), digitAt(line, 2)]
  const isCode = first >= 2 && first <= 5 && second >= 0 && second <= 9 && third >= 0 && third <= 9
  return isCode ? first * 100 + second * 10 + third : undefined
}

/** A digit's value; something else for what is none, NaN behind the end. */
function digitAt(line: string, at: number): number {
  return line.charCodeAt(at) - 48
}

/** Reads replies from a stream of bytes in any chunking. */
export class ReplyReader {
  #partial = ''
  #lines: string[] = []
  #code = 0
  #bytes = 0

  /**
   * The replies that became complete with this chunk.
   * @throws Error when this is not SMTP, or a reply is longer than `replyBytesMax`
   */
  read(chunk: Buffer): Reply[] {
    const replies: Reply[] = []
    const text = this.#partial + chunk.toString('latin1')
    let start = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const line = text.slice(start, text.charCodeAt(end - 1) === 13 && end > start ? end - 1 : end)
      start = end + 1
      this.#bytes += line.length
      const reply = this.#line(line)
      if (reply) replies.push(reply)
    }
    this.#partial = text.slice(start)
    if (this.#bytes + this.#partial.length > replyBytesMax) throw new Error(`a reply exceeds ${replyBytesMax} bytes`)
    return replies
  }

  /** Whether nothing of an unfinished reply is held. */
  get idle(): boolean {
    return this.#partial === '' && this.#lines.length === 0
  }

  #line(line: string): Reply | undefined {
    const code = codeOf(line)
    const isLast = line.length === 3 || line[3] === ' '
    const known = code !== undefined && (isLast || line[3] === '-')
    if (!known || (this.#lines.length > 0 && code !== this.#code)) throw new Error('a line is no SMTP reply')
    this.#code = code
    const text = line.slice(4)
    this.#lines.push(control.test(text) ? text.replaceAll(controls, ' ') : text)
    if (!isLast) return undefined
    const reply = { code, lines: this.#lines }
    this.#lines = []
    this.#bytes = 0
    return reply
  }
}
