/**
 * The status line, one for every recipient of every delivery attempt (Postfix log_adhoc.c):
 *
 *     to=<ADDRESS>[, orig_to=<ADDRESS>], relay=RELAY[, conn_use=N], delay=D, delays=A/B/C/D[, tls=T], dsn=C.S.D, status=WORD (TEXT)
 *
 * Before Postfix 2.3 without `delays=` and `dsn=`.
 *
 * Read from left to right, each field where the one before it ended: a recipient's address and a remote server's text may
 * contain whatever looks like a field.
 */

/** Places of the parts within the line; of `origTo` and `dsn` -1 when absent. Addresses without their angle brackets. */
export interface StatusLine {
  toFrom: number
  toEnd: number
  origToFrom: number
  origToEnd: number
  relayFrom: number
  relayEnd: number
  dsnFrom: number
  dsnEnd: number
  statusFrom: number
  statusEnd: number
  textFrom: number
  textEnd: number
  /** Whether the line ends with the parenthesis that closes the text; otherwise it was cut. */
  closed: boolean
}

/** Ends of an address that are tried before the line is given up: one whose text holds more is hostile or no status line. */
const addressEndsTriedMax = 32

/** `5.123.123`. */
const dsnCharsMax = 9

/** Reused for every line, so that a line costs no object; valid until the next call. */
const found: StatusLine = {
  toFrom: 0,
  toEnd: 0,
  origToFrom: -1,
  origToEnd: -1,
  relayFrom: 0,
  relayEnd: 0,
  dsnFrom: 0,
  dsnEnd: 0,
  statusFrom: 0,
  statusEnd: 0,
  textFrom: 0,
  textEnd: 0,
  closed: false,
}

/**
 * @param from where `to=` stands
 * @returns an object that the next call overwrites; undefined for anything that is not a whole status line
 */
export function readStatusLine(line: string, from: number, to: number): StatusLine | undefined {
  const at = from + 3
  found.closed = line.charCodeAt(to - 1) === 41
  found.textEnd = found.closed ? to - 1 : to
  if (line.charCodeAt(at) !== 60) {
    // No brackets: logs of old, or made anonymous.
    const end = line.indexOf(', ', at)
    if (end <= at || end >= to) return undefined
    found.toFrom = at
    found.toEnd = end
    return readAfterTo(line, end, to) ? found : undefined
  }
  found.toFrom = at + 1
  return forAddressEnds(line, at + 1, to, end => {
    found.toEnd = end
    return readAfterTo(line, end + 1, to)
  })
    ? found
    : undefined
}

/**
 * Calls `rest` with every place where an address in brackets may end, nearest first, until it says yes. A quoted local
 * part is skipped as RFC 5321 says; Postfix before 3.5 does not quote, there the shortest address that leaves a valid line
 * is right.
 */
function forAddressEnds(line: string, from: number, to: number, rest: (end: number) => boolean): boolean {
  if (line.charCodeAt(from) === 34) {
    let at = from + 1
    while (at < to && line.charCodeAt(at) !== 34) at += line.charCodeAt(at) === 92 ? 2 : 1
    const end = line.indexOf('>', at)
    if (at < to && end !== -1 && end < to && rest(end)) return true
  }
  let end = line.indexOf('>, ', from)
  for (let tries = 0; end !== -1 && end < to && tries < addressEndsTriedMax; tries++) {
    if (rest(end)) return true
    end = line.indexOf('>, ', end + 1)
  }
  return false
}

/** From the comma after the recipient on. */
function readAfterTo(line: string, at: number, to: number): boolean {
  found.origToFrom = -1
  found.origToEnd = -1
  if (line.startsWith(', relay=', at)) return readFromRelay(line, at, to)
  if (!line.startsWith(', orig_to=', at)) return false
  const value = at + ', orig_to='.length
  if (line.charCodeAt(value) !== 60) {
    const end = line.indexOf(', ', value)
    if (end === -1 || end >= to) return false
    found.origToFrom = value
    found.origToEnd = end
    return readFromRelay(line, end, to)
  }
  return forAddressEnds(line, value + 1, to, end => {
    found.origToFrom = value + 1
    found.origToEnd = end
    return readFromRelay(line, end + 1, to)
  })
}

function readFromRelay(line: string, start: number, to: number): boolean {
  if (!line.startsWith(', relay=', start)) return false
  found.relayFrom = start + ', relay='.length
  let at = line.indexOf(',', found.relayFrom)
  if (at === -1 || at >= to) return false
  found.relayEnd = at
  if (line.startsWith(', conn_use=', at)) at = skip(line, at + ', conn_use='.length, to, isDigit)
  if (!line.startsWith(', delay=', at)) return false
  at = skip(line, at + ', delay='.length, to, isDelay)
  const isSince23 = line.startsWith(', delays=', at)
  if (isSince23) at = skip(line, at + ', delays='.length, to, isDelay)
  // Since Postfix 3.11.
  if (line.startsWith(', tls=', at)) {
    at = line.indexOf(',', at + ', tls='.length)
    if (at === -1) return false
  }
  if (line.startsWith(', dsn=', at)) {
    found.dsnFrom = at + ', dsn='.length
    at = skip(line, found.dsnFrom, to, isDigitOrDot)
    found.dsnEnd = at
    if (!isEnhancedCode(line, found.dsnFrom, at)) return false
  } else if (isSince23) return false
  else found.dsnFrom = found.dsnEnd = -1
  if (!line.startsWith(', status=', at)) return false
  found.statusFrom = at + ', status='.length
  at = skip(line, found.statusFrom, to, isWord)
  found.statusEnd = at
  if (at === found.statusFrom || !line.startsWith(' (', at) || at + 2 > to) return false
  found.textFrom = at + 2
  if (found.textEnd < found.textFrom) found.textEnd = found.textFrom
  return true
}

/** `5.1.1`; of the class no more is asked than that it is one of success, transient or permanent failure. */
function isEnhancedCode(line: string, from: number, to: number): boolean {
  const kind = line.charCodeAt(from)
  return to - from >= 5 && to - from <= dsnCharsMax && (kind === 50 || kind === 52 || kind === 53)
}

function skip(line: string, from: number, to: number, isPart: (code: number) => boolean): number {
  let at = from
  while (at < to && isPart(line.charCodeAt(at))) at++
  return at
}

const isDigit = (code: number) => code >= 48 && code <= 57
const isDigitOrDot = (code: number) => isDigit(code) || code === 46
/** Digits, dot, slash. */
const isDelay = (code: number) => code >= 46 && code <= 57
const isWord = (code: number) => (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 45
