/**
 * What an SMTP server announces after EHLO, as far as the wrapper passes it on. Only what the upstream announces is
 * announced to clients. Everything else stays unknown to them: CHUNKING and BINARYMIME (the message is read and changed
 * as lines), XCLIENT, XFORWARD, BURL, ETRN and the like (meant for this hop only), REQUIRETLS (the next hop is fixed).
 */
export interface Capabilities {
  readonly pipelining: boolean
  readonly eightBitMime: boolean
  readonly smtpUtf8: boolean
  readonly dsn: boolean
  readonly enhancedStatusCodes: boolean
  /** Largest message in bytes; 0 when SIZE was announced without a limit; undefined when it was not announced. */
  readonly size: number | undefined
  /** SASL mechanisms, upper case. */
  readonly auth: readonly string[]
}

/**
 * SASL mechanisms that pass through a relay: the exchange is between client and upstream alone. Those bound to the TLS
 * channel (-PLUS), and those that name the host (GSSAPI, DIGEST-MD5) don't.
 */
const relayableMechanisms = new Set([
  'PLAIN',
  'LOGIN',
  'XOAUTH2',
  'OAUTHBEARER',
  'CRAM-MD5',
  'SCRAM-SHA-1',
  'SCRAM-SHA-256',
])

/** @param lines the lines of the EHLO reply after its first */
export function readCapabilities(lines: readonly string[]): Capabilities {
  const words = lines.map(line =>
    line
      .trim()
      .toUpperCase()
      .split(/[\s=]+/),
  )
  const has = (keyword: string) => words.some(([first]) => first === keyword)
  const size = words.find(([first]) => first === 'SIZE')
  const auth = new Set(words.filter(([first]) => first === 'AUTH').flatMap(([, ...mechanisms]) => mechanisms))
  return {
    pipelining: has('PIPELINING'),
    eightBitMime: has('8BITMIME'),
    smtpUtf8: has('SMTPUTF8'),
    dsn: has('DSN'),
    enhancedStatusCodes: has('ENHANCEDSTATUSCODES'),
    size: size && (/^\d{1,15}$/.test(size[1] ?? '') ? Number(size[1]) : 0),
    auth: [...auth].filter(mechanism => relayableMechanisms.has(mechanism)),
  }
}

/** What the wrapper itself brings to what it announces. */
export interface OwnTerms {
  readonly messageBytesMax: number
  /** STARTTLS can be had now. */
  readonly startTls: boolean
  /** AUTH may be used now: the channel is safe on both sides. */
  readonly auth: boolean
}

/** The largest message that both take, in bytes. */
export function announcedSize(upstream: Capabilities, messageBytesMax: number): number {
  return upstream.size ? Math.min(upstream.size, messageBytesMax) : messageBytesMax
}

/** The keyword lines of our EHLO reply. */
export function announce(upstream: Capabilities, own: OwnTerms): string[] {
  return [
    ...(upstream.pipelining ? ['PIPELINING'] : []),
    ...(upstream.size === undefined ? [] : [`SIZE ${announcedSize(upstream, own.messageBytesMax)}`]),
    ...(own.startTls ? ['STARTTLS'] : []),
    ...(own.auth && upstream.auth.length > 0 ? [`AUTH ${upstream.auth.join(' ')}`] : []),
    ...(upstream.enhancedStatusCodes ? ['ENHANCEDSTATUSCODES'] : []),
    ...(upstream.eightBitMime ? ['8BITMIME'] : []),
    ...(upstream.dsn ? ['DSN'] : []),
    ...(upstream.smtpUtf8 ? ['SMTPUTF8'] : []),
  ]
}

/** What wrapping makes of a message of this size, in bytes, as an estimate that few messages pass. */
export function grownBytes(bytes: number): number {
  return bytes + Math.ceil(bytes / 4) + 4096
}
