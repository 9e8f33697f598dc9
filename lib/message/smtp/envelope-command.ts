/**
 * Reads MAIL and RCPT (RFC 5321 section 4.1.1) and writes them for the upstream. The path stays exactly as it came, so
 * that a domain in punycode and a quoted local part reach the upstream as the client wrote them; parameters are passed
 * only when they are known, and their values (xtext included) as they came.
 */
import { localReply, type Reply } from './reply.ts'

/** RFC 5321 section 4.5.3.1, in octets. */
const localPartBytesMax = 64
const addressBytesMax = 254

export interface EnvelopeCommand {
  /** What stands between the angle brackets; empty for the null reverse-path. */
  readonly path: string
  /** Upper-case keyword → value as it came; empty for a keyword without one. */
  readonly parameters: ReadonlyMap<string, string>
}

const mailKeywords = new Set(['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID', 'AUTH'])
const notifyWords = new Set(['SUCCESS', 'FAILURE', 'DELAY'])
const rcptKeywords = new Set(['NOTIFY', 'ORCPT'])

/** Thrown for a command that must not go further; holds what to answer. */
export class Refused extends Error {
  readonly reply: Reply

  constructor(reply: Reply) {
    super(`${reply.code} ${reply.lines[0]}`)
    this.reply = reply
  }
}

function refuse(code: number, enhanced: string, text: string): never {
  throw new Refused(localReply(code, enhanced, text))
}

/** @throws {Refused} */
export function readMail(line: Buffer): EnvelopeCommand {
  const command = readEnvelopeCommand(line, 'MAIL FROM:', mailKeywords)
  const { path, parameters } = command
  if (path !== '') checkAddress(path, '5.1.7', parameters.has('SMTPUTF8'))
  const size = parameters.get('SIZE')
  if (size !== undefined && !/^\d{1,20}$/.test(size)) refuse(501, '5.5.4', 'Bad SIZE')
  const body = parameters.get('BODY')?.toUpperCase()
  if (body !== undefined && body !== '7BIT' && body !== '8BITMIME') refuse(501, '5.5.4', 'BODY is 7BIT or 8BITMIME')
  if (parameters.get('SMTPUTF8')) refuse(501, '5.5.4', 'SMTPUTF8 takes no value')
  const ret = parameters.get('RET')?.toUpperCase()
  if (ret !== undefined && ret !== 'FULL' && ret !== 'HDRS') refuse(501, '5.5.4', 'RET is FULL or HDRS')
  needValue(parameters, 'ENVID')
  needValue(parameters, 'AUTH')
  return command
}

/**
 * @param smtpUtf8 whether MAIL of this transaction asked for SMTPUTF8
 * @throws {Refused}
 */
export function readRcpt(line: Buffer, smtpUtf8: boolean): EnvelopeCommand {
  const command = readEnvelopeCommand(line, 'RCPT TO:', rcptKeywords)
  const { path, parameters } = command
  if (path === '') refuse(501, '5.1.3', 'A recipient is needed')
  checkAddress(path, '5.1.3', smtpUtf8)
  const notify = parameters.get('NOTIFY')?.toUpperCase().split(',')
  if (notify) {
    const good = (notify.length === 1 && notify[0] === 'NEVER') || notify.every(word => notifyWords.has(word))
    if (!good) refuse(501, '5.5.4', 'NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY')
  }
  const recipient = parameters.get('ORCPT')
  if (recipient !== undefined && !/^[\w!#$%&'*+./?^`{|}~-]+;./.test(recipient)) refuse(501, '5.5.4', 'Bad ORCPT')
  return command
}

/** The command line for the upstream, without CRLF. */
export function formatEnvelopeCommand(
  verb: 'MAIL FROM' | 'RCPT TO',
  path: string,
  parameters: ReadonlyMap<string, string>,
): string {
  let line = `${verb}:<${path}>`
  for (const [keyword, value] of parameters) line += value === '' ? ` ${keyword}` : ` ${keyword}=${value}`
  return line
}

function needValue(parameters: ReadonlyMap<string, string>, keyword: string): void {
  if (parameters.get(keyword) === '') refuse(501, '5.5.4', `${keyword} needs a value`)
}

/** An address without the brackets, as simple scripts write it and as MTAs take it; only one that reads in one way. */
const bareAddress = /^[^\s<>()[\]\\,;:"@]+@[^\s<>()[\]\\,;:"@]+(?= |$)/

function readEnvelopeCommand(line: Buffer, prefix: string, keywords: ReadonlySet<string>): EnvelopeCommand {
  const text = line.toString('utf8')
  const syntax = `Syntax: ${prefix}<address>`
  if (text.slice(0, prefix.length).toUpperCase() !== prefix) refuse(501, '5.5.4', syntax)
  // oxlint-disable-next-line no-control-regex -- control characters are what must not pass
  if (/[\x00-\x1f\x7f-\x9f\ufffd]/.test(text)) refuse(501, '5.5.4', 'Control characters and bad UTF-8 are not allowed')
  const rest = text.slice(prefix.length).trimStart()
  const bare = bareAddress.exec(rest)?.[0]
  const end = bare === undefined ? endOfPath(rest) : bare.length - 1
  if (end === -1) refuse(501, '5.5.4', syntax)
  const parameters = new Map<string, string>()
  const words = rest.slice(end + 1)
  if (words !== '' && !words.startsWith(' ')) refuse(501, '5.5.4', syntax)
  for (const word of words.split(' ')) {
    if (word === '') continue
    const match = /^([a-z0-9][a-z0-9-]*)(?:=([^=\s]+))?$/i.exec(word)
    if (!match) refuse(501, '5.5.4', 'Bad parameter')
    const keyword = match[1]!.toUpperCase()
    if (!keywords.has(keyword)) refuse(555, '5.5.4', 'Parameter not recognized')
    if (parameters.has(keyword)) refuse(501, '5.5.4', 'A parameter is given twice')
    const value = match[2] ?? ''
    if (/\+(?:[01][0-9A-F]|7F|[89][0-9A-F])/i.test(value)) refuse(501, '5.5.4', 'Control characters are not allowed')
    parameters.set(keyword, value)
  }
  return { path: bare ?? rest.slice(1, end), parameters }
}

/** The index of the bracket that closes the path; -1 when there is none. A quoted local part may hold brackets. */
function endOfPath(text: string): number {
  if (!text.startsWith('<')) return -1
  let quoted = false
  for (let index = 1; index < text.length; index++) {
    const character = text[index]
    if (quoted && character === '\\') index++
    else if (character === '"') quoted = !quoted
    else if (!quoted && character === '>') return index
    else if (!quoted && (character === '<' || character === ' ')) return -1
  }
  return -1
}

function checkAddress(path: string, enhanced: string, smtpUtf8: boolean): void {
  if (path.startsWith('@')) refuse(501, enhanced, 'Source routes are not taken')
  if (!smtpUtf8 && /[^\0-\x7f]/.test(path)) refuse(553, '5.6.7', 'An address in UTF-8 needs SMTPUTF8')
  const at = path.startsWith('"') ? path.indexOf('"@', 1) + 1 : path.lastIndexOf('@')
  const localPart = at > 0 ? path.slice(0, at) : path
  if (Buffer.byteLength(localPart) > localPartBytesMax || Buffer.byteLength(path) > addressBytesMax) {
    refuse(501, enhanced, `Address too long: ${localPartBytesMax} octets before the @, ${addressBytesMax} in all`)
  }
  if (at === 0 || at === path.length - 1) refuse(501, enhanced, 'Bad address syntax')
}
