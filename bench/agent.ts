/**
 * Speed and memory of the agent's parsing and correlation on a generated Postfix log, against `pflogsumm` on the same file
 * in the same run. Usage: node bench/agent.ts [messages], default 60,000 messages (some 480,000 lines).
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { correlatorDefaults } from '../lib/event/maillog/correlator-options.ts'
import { readWholeFile } from '../lib/event/maillog/dry-run.ts'
import { PostfixLog } from '../lib/event/maillog/postfix-log.ts'
import { TimeZone } from '../lib/event/maillog/time-zone.ts'

const messages = Number(process.argv[2] ?? 60_000) || 0
/** As docs/agent.md recommends: lines die young, a larger nursery only takes more memory. */
const nursery = '--max-semi-space-size=8'
const dir = mkdtempSync(join(tmpdir(), 'bench-agent-'))
const path = join(dir, 'mail.log')

function generate(): number {
  const file = openSync(path, 'w')
  let lines = 0
  let text = ''
  for (let number = 0; number < messages; number++) {
    const uuid = createHash('md5').update(String(number)).digest('hex')
    const dashed = uuid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    const id = (0xa_0000_0000 + number * 7919).toString(16).toUpperCase()
    const stamp = new Date(1_771_000_000_000 + number * 5).toISOString().replace('Z', '123+00:00')
    const line = (program: string, message: string) => {
      text += `${stamp} mx-out1 postfix/${program}[${2000 + (number % 50)}]: ${message}\n`
      lines++
    }
    line('smtpd', 'connect from app01.example.net[10.1.2.3]')
    line('smtpd', `${id}: client=app01.example.net[10.1.2.3]`)
    line('cleanup', `${id}: message-id=<${dashed}@mailer.example.net>`)
    line('qmgr', `${id}: from=<bounce+${number}@news.example.net>, size=34567, nrcpt=1 (queue active)`)
    line('smtpd', 'disconnect from app01.example.net[10.1.2.3] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5')
    const to = `to=<recipient.${number}@example.com>, relay=mx.example.com[192.0.2.7]:25, delay=1.2, delays=0.1/0.01/0.5/0.6`
    if (number % 20 === 0)
      line(
        'smtp',
        `${id}: ${to}, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.7] said: 550 5.1.1 <recipient.${number}@example.com>: Recipient address rejected: User unknown (in reply to RCPT TO command))`,
      )
    else if (number % 20 === 1)
      line(
        'smtp',
        `${id}: ${to}, dsn=4.2.0, status=deferred (host mx.example.com[192.0.2.7] said: 450 4.2.0 <recipient.${number}@example.com>: Recipient address rejected: Greylisted (in reply to RCPT TO command))`,
      )
    else line('smtp', `${id}: ${to}, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4A3B2C1D${number % 10}E)`)
    if (number % 20 !== 1) line('qmgr', `${id}: removed`)
    line(
      'smtp',
      'Untrusted TLS connection established to mx.example.com[192.0.2.7]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384',
    )
    if (text.length > 1 << 20) {
      writeSync(file, text)
      text = ''
    }
  }
  writeSync(file, text)
  closeSync(file)
  return lines
}

/** Reads the file three times and prints what it took; a process of its own, so that its memory is the agent's. */
async function measure(): Promise<void> {
  const file = process.argv[3]!
  const lines = Number(process.argv[4])
  const rates: number[] = []
  let events = 0
  let open = 0
  let rss = 0
  for (let round = 0; round < 3; round++) {
    events = 0
    const log = new PostfixLog(correlatorDefaults, new TimeZone('UTC'), { report: () => events++, suppressed: () => 0 })
    const cpu = process.cpuUsage()
    await readWholeFile(file, log, new Map(), async () => undefined)
    const { user, system } = process.cpuUsage(cpu)
    rates.push(lines / ((user + system) / 1e6))
    open = log.size
    // Of one pass: the later ones leave maps behind that are garbage.
    rss ||= process.resourceUsage().maxRSS * 1024
  }
  console.log(JSON.stringify({ rates, events, open, rss }))
}

function compare(): void {
  const lines = generate()
  const child = spawnSync(process.execPath, [nursery, import.meta.filename, 'measure', path, String(lines)], {
    encoding: 'utf8',
  })
  const { rates, events, open, rss } = JSON.parse(child.stdout) as {
    rates: number[]
    events: number
    open: number
    rss: number
  }
  const best = Math.max(...rates)
  console.log(`${lines} lines, ${(statSync(path).size / 1e6).toFixed(0)} MB, ${events} events`)
  console.log(
    `agent: ${rates.map(rate => Math.round(rate / 1000)).join(', ')} k lines per CPU second; ` +
      `RSS ${(rss / 1e6).toFixed(0)} MB with ${open} queue ids remembered`,
  )
  const summary = spawnSync('bash', ['-c', `TIMEFORMAT='%U %S'; time pflogsumm ${path} > /dev/null`], {
    encoding: 'utf8',
  })
  const [user = 0, system = 0] = (summary.stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number)
  const rate = lines / (user + system)
  if (summary.status === 0)
    console.log(
      `pflogsumm: ${Math.round(rate / 1000)} k lines per CPU second; the agent is ${(best / rate).toFixed(1)} times as fast`,
    )
  rmSync(dir, { recursive: true })
}

if (process.argv[2] === 'measure') {
  await measure()
  rmSync(dir, { recursive: true })
} else compare()
