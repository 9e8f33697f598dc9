/** A Postfix log as a campaign makes it, for benchmarks; any size, the same for the same numbers. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'

export interface PostfixLogShape {
  readonly messages: number
  /** Of each twenty messages so many are deferred at first. */
  readonly deferredOf20: number
  /** So many messages wait, once that many were deferred; then one is delivered for each that is deferred. */
  readonly openMax: number
}

export interface GeneratedLog {
  readonly lines: number
  /** Messages that still wait at its end. */
  readonly open: number
  /** Lines until `openMax` messages wait for the first time; undefined when they never do. */
  readonly fullAfterLines: number | undefined
}

export function generatePostfixLog(path: string, shape: PostfixLogShape): GeneratedLog {
  const file = openSync(path, 'w')
  const waiting: number[] = []
  let first = 0
  let lines = 0
  let fullAfterLines: number | undefined
  let text = ''
  const write = (atMs: number, program: string, message: string) => {
    const stamp = new Date(atMs).toISOString().replace('Z', '123+00:00')
    text += `${stamp} mx-out1 postfix/${program}[${2000 + (lines % 50)}]: ${message}\n`
    lines++
  }
  for (let number = 0; number < shape.messages; number++) {
    const atMs = 1_771_000_000_000 + number * 5
    const id = queueId(number)
    const to = recipient(number)
    write(atMs, 'smtpd', 'connect from app01.example.net[10.1.2.3]')
    write(atMs, 'smtpd', `${id}: client=app01.example.net[10.1.2.3]`)
    write(atMs, 'cleanup', `${id}: message-id=<${uuid(number)}@mailer.example.net>`)
    write(atMs, 'qmgr', `${id}: from=<bounce+${number}@news.example.net>, size=34567, nrcpt=1 (queue active)`)
    write(atMs, 'smtpd', 'disconnect from app01.example.net[10.1.2.3] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5')
    const isDeferred = number % 20 < shape.deferredOf20
    if (isDeferred) {
      write(
        atMs,
        'smtp',
        `${id}: to=<${to}>, ${attempt}, dsn=4.2.0, status=deferred (host mx.example.com[192.0.2.7] said: 450 4.2.0 <${to}>: Recipient address rejected: Greylisted (in reply to RCPT TO command))`,
      )
      waiting.push(number)
    } else if (number % 20 === 19) {
      write(
        atMs,
        'smtp',
        `${id}: to=<${to}>, ${attempt}, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.7] said: 550 5.1.1 <${to}>: Recipient address rejected: User unknown (in reply to RCPT TO command))`,
      )
      write(atMs, 'qmgr', `${id}: removed`)
    } else deliver(write, atMs, number)
    write(
      atMs,
      'smtp',
      'Untrusted TLS connection established to mx.example.com[192.0.2.7]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384',
    )
    if (waiting.length - first > shape.openMax) {
      fullAfterLines ??= lines
      deliver(write, atMs, waiting[first++]!)
    }
    if (text.length > 1 << 20) {
      writeSync(file, text)
      text = ''
    }
  }
  writeSync(file, text)
  closeSync(file)
  return { lines, open: waiting.length - first, fullAfterLines }
}

const attempt = 'relay=mx.example.com[192.0.2.7]:25, delay=1.2, delays=0.1/0.01/0.5/0.6'
const queueId = (number: number) => (0xa_0000_0000 + number * 7919).toString(16).toUpperCase()
/** Addresses are as long at the end of a log as at its beginning: 22 to 30 characters. */
const recipient = (number: number) =>
  `${names[number % names.length]}.${String(number % 1_000_000).padStart(6, '0')}@example.com`
const names = ['ana', 'ines', 'lukas', 'sandra', 'giacomo', 'veronika', 'alexander', 'konstantin']

function deliver(write: (atMs: number, program: string, message: string) => void, atMs: number, number: number): void {
  const id = queueId(number)
  const reply = `250 2.0.0 Ok: queued as 4A3B2C1D${number % 10}E`
  write(atMs, 'smtp', `${id}: to=<${recipient(number)}>, ${attempt}, dsn=2.0.0, status=sent (${reply})`)
  write(atMs, 'qmgr', `${id}: removed`)
}

function uuid(number: number): string {
  const hex = createHash('md5').update(String(number)).digest('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
