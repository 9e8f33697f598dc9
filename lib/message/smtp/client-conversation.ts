/** What a client says and is told, as it may be shown: without credentials. */
import { verbOf } from './command-line.ts'

/** Commands whose lines hold none; the last ones are not taken, but asked for. */
const harmless = new Set([
  ...['EHLO', 'HELO', 'MAIL', 'RCPT', 'DATA', 'RSET', 'NOOP', 'QUIT', 'STARTTLS'],
  ...['VRFY', 'EXPN', 'HELP', 'ETRN', 'BDAT'],
])

export class ClientConversation {
  readonly #show: (from: 'C' | 'S', text: string) => void
  #hasSaidAuth = false

  constructor(show: (from: 'C' | 'S', text: string) => void) {
    this.#show = show
  }

  /**
   * A line of the client.
   * @param isSecret it belongs to an AUTH exchange
   */
  heard(line: Buffer, isSecret: boolean): void {
    this.#show('C', `${isSecret ? '*hidden*' : this.#shown(line)}\r\n`)
  }

  /** What the client is told. */
  said(text: string): void {
    this.#show('S', text)
  }

  #shown(line: Buffer): string {
    const text = line.toString('latin1')
    if (harmless.has(verbOf(line))) return text
    const auth = /^AUTH\s+\S+(?=\s|$)/i.exec(text)?.[0]
    // Who does not wait for the answer to AUTH, or does not heed it, says name and password as if they were commands.
    this.#hasSaidAuth ||= auth !== undefined || /auth/i.test(text)
    if (auth !== undefined) return text.length > auth.length ? `${auth} *hidden*` : auth
    return this.#hasSaidAuth ? '*hidden*' : text
  }
}
