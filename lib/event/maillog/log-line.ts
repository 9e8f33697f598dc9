/**
 * The line formats that a Postfix log is met in, recognised from each line: traditional syslog and postlogd, RFC 3339
 * (rsyslog's default), RFC 5424, the same with a priority before it, `journalctl` in short, short-iso and JSON form, the
 * files of Docker (json-file) and Kubernetes (CRI), what their `logs --timestamps` prints, and plain standard output.
 *
 * Lines are latin1 strings, one character a byte; texts are decoded as UTF-8 where they are kept.
 */
import { isoMicros, type StampClock } from './stamp-clock.ts'

/** What a line says before the program's own text. */
export interface LogLine {
  /** Unix time in microseconds, as exact as the log is; NaN when the line bears none. */
  at: number
  /** As written, latin1; it tells the logs of several machines in one file apart. */
  host: string
  /** The program's text is `line.slice(from, to)`. */
  line: string
  from: number
  to: number
  /** Number of lines that the logger says it dropped. */
  suppressed: number
  /** Of the journal: where to go on. */
  cursor: string | undefined
}

export class LogLineReader {
  readonly #clock: StampClock
  readonly #read: LogLine = { at: 0, host: '', line: '', from: 0, to: 0, suppressed: 0, cursor: undefined }
  #host = ''

  constructor(clock: StampClock) {
    this.#clock = clock
  }

  /**
   * @param line latin1, without its line end
   * @returns an object that the next call overwrites; undefined when the line has no form that is known
   */
  read(line: string): LogLine | undefined {
    const read = this.#read
    read.line = line
    read.to = line.charCodeAt(line.length - 1) === 13 ? line.length - 1 : line.length
    read.suppressed = 0
    read.cursor = undefined
    const first = line.charCodeAt(0)
    if (first === 123) return this.#json(line)
    if (first === 60) return this.#withPriority(line)
    if (first >= 48 && first <= 57) return this.#iso(line, 0)
    return this.#traditional(line, 0)
  }

  /** `Feb  9 13:00:05 host tag[pid]: text` */
  #traditional(line: string, from: number): LogLine | undefined {
    // The month is three letters in English; elsewhere it may be longer and not ASCII.
    const month = line.indexOf(' ', from)
    if (month < from + 3 || month > from + 16) return undefined
    const end = month + 12
    if (
      line.charCodeAt(end) !== 32 ||
      line.charCodeAt(end - 3) !== 58 ||
      line.charCodeAt(end - 6) !== 58 ||
      line.charCodeAt(end - 9) !== 32
    )
      return undefined
    const at = this.#clock.traditional(line, from, end)
    if (Number.isNaN(at)) return undefined
    this.#read.at = at * 1000
    return this.#hostAndTag(line, end + 1)
  }

  /** `2026-11-21T16:24:03.867203+00:00 host tag[pid]: text`, or such a stamp by a container runtime before a line. */
  #iso(line: string, from: number): LogLine | undefined {
    const end = this.#isoStamp(line, from)
    if (end === -1) return undefined
    const stream = line.startsWith(' std', end) ? /^ std(?:out|err) [FP] /.exec(line.slice(end, end + 12)) : null
    // The stamp of the line within is no host and tag: no colon ends it.
    const outer = stream ? undefined : this.#hostAndTag(line, end + 1)
    if (outer) return outer
    const { at } = this.#read
    const inner = this.#contained(line, end + (stream?.[0].length ?? 1))
    this.#read.at = at
    return inner
  }

  /** Reads a stamp; where it ends, or -1. */
  #isoStamp(line: string, from: number): number {
    const end = line.indexOf(' ', from)
    if (end < from + 19 || end > from + 40) return -1
    this.#read.at = isoMicros(line, from, end)
    return Number.isNaN(this.#read.at) ? -1 : end
  }

  /** What a container wrote to its standard output: postlogd's lines, or those of a syslog daemon beside Postfix. */
  #contained(line: string, from: number): LogLine | undefined {
    const first = line.charCodeAt(from)
    if (!(first >= 48 && first <= 57)) return this.#traditional(line, from)
    const end = this.#isoStamp(line, from)
    return end === -1 ? undefined : this.#hostAndTag(line, end + 1)
  }

  /** `<22>1 2026-… host app pid msgid sd text` (RFC 5424), or `<22>` before one of the other forms. */
  #withPriority(line: string): LogLine | undefined {
    const end = line.indexOf('>', 1)
    if (end === -1 || end > 4) return undefined
    const next = line.charCodeAt(end + 1)
    if (!(next >= 48 && next <= 57)) return this.#traditional(line, end + 1)
    if (line.charCodeAt(end + 2) !== 32) return this.#iso(line, end + 1)
    const stampEnd = line.indexOf(' ', end + 3)
    if (stampEnd === -1 || stampEnd > end + 43) return undefined
    this.#read.at = isoMicros(line, end + 3, stampEnd)
    const hostEnd = line.indexOf(' ', stampEnd + 1)
    if (hostEnd === -1) return undefined
    this.#setHost(line, stampEnd + 1, hostEnd)
    // Application, process and message id.
    let at = hostEnd
    for (let field = 0; field < 3; field++) {
      at = line.indexOf(' ', at + 1)
      if (at === -1) return undefined
    }
    at = structuredDataEnd(line, at + 1)
    if (at === -1) return undefined
    while (line.charCodeAt(at) === 32) at++
    if (line.startsWith('\u00ef\u00bb\u00bf', at)) at += 3
    this.#read.from = Math.min(at, this.#read.to)
    return this.#read
  }

  /** A record of the journal or of Docker's json-file driver. */
  #json(line: string): LogLine | undefined {
    let record: unknown
    try {
      record = JSON.parse(Buffer.from(line, 'latin1').toString('utf8'))
    } catch {
      return undefined
    }
    if (typeof record !== 'object' || record === null) return undefined
    const fields = record as Record<string, unknown>
    if (typeof fields['log'] === 'string') return this.#docker(fields['log'], fields['time'])
    const message = journalText(fields['MESSAGE'])
    if (message === undefined) return undefined
    const read = this.#read
    read.line = message
    read.from = 0
    read.to = message.length
    read.at = Number(fields['_SOURCE_REALTIME_TIMESTAMP'] ?? fields['__REALTIME_TIMESTAMP'] ?? Number.NaN)
    this.#host = typeof fields['_HOSTNAME'] === 'string' ? fields['_HOSTNAME'] : ''
    read.host = this.#host
    read.cursor = typeof fields['__CURSOR'] === 'string' ? fields['__CURSOR'] : undefined
    if (fields['MESSAGE_ID'] === journalDropped) read.suppressed = Number(fields['N_DROPPED']) || 1
    return read
  }

  #docker(text: string, time: unknown): LogLine | undefined {
    const inner = Buffer.from(text, 'utf8').toString('latin1').replace(/\n$/, '')
    this.#read.line = inner
    this.#read.to = inner.length
    const read = this.#contained(inner, 0)
    // The container runtime knows the zone and the fraction of a second, the stamp within does not.
    if (read && typeof time === 'string' && !Number.isNaN(isoMicros(time))) read.at = isoMicros(time)
    return read
  }

  /** Postfix writes `tag[pid]: text`; a tag holds no blank, bracket or colon. */
  #hostAndTag(line: string, from: number): LogLine | undefined {
    const hostEnd = line.indexOf(' ', from)
    if (hostEnd <= from) return undefined
    const tagEnd = line.indexOf(' ', hostEnd + 1)
    if (tagEnd === -1 || line.charCodeAt(tagEnd - 1) !== 58) return undefined
    this.#setHost(line, from, hostEnd)
    this.#read.from = Math.min(tagEnd + 1, this.#read.to)
    const code = line.charCodeAt(this.#read.from)
    // rsyslog's imuxsock and imjournal when they are flooded: `begin to drop messages due to rate-limiting`.
    if (code === 105 && line.startsWith('imuxsock', this.#read.from) && line.includes('rate-limiting'))
      this.#read.suppressed = 1
    return this.#read
  }

  #setHost(line: string, from: number, to: number): void {
    // Hosts hardly ever change from line to line: one string object serves them all.
    if (to - from !== this.#host.length || !line.startsWith(this.#host, from)) this.#host = latin1Copy(line, from, to)
    this.#read.host = this.#host
  }
}

/** `MESSAGE_ID` of journald's own record that a service was silenced by the rate limit. */
const journalDropped = 'a596d6fe7bfa4994828e72309e95d61e'

/** A text, or the array of byte values that journald writes for what is no UTF-8; as latin1. */
function journalText(message: unknown): string | undefined {
  if (typeof message === 'string') return Buffer.from(message, 'utf8').toString('latin1')
  if (Array.isArray(message) && message.every(byte => typeof byte === 'number'))
    return Buffer.from(message).toString('latin1')
  return undefined
}

/** Where the structured data that begins at `from` ends: `-` or elements in brackets with quoted values. -1 when it does not. */
function structuredDataEnd(line: string, from: number): number {
  if (line.charCodeAt(from) !== 91) return from + 1
  let quoted = false
  for (let at = from; at < line.length; at++) {
    const code = line.charCodeAt(at)
    if (quoted && code === 92) at++
    else if (code === 34) quoted = !quoted
    else if (!quoted && code === 93 && line.charCodeAt(at + 1) !== 91) return at + 1
  }
  return -1
}

/** A host's name stays latin1: it is a key, not a text. */
function latin1Copy(line: string, from: number, to: number): string {
  return Buffer.from(line.slice(from, to), 'latin1').toString('latin1')
}
