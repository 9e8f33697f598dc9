/** Looks at a Postfix installation and its log: whether the agent can tell from it what became of every message. */

export interface Finding {
  readonly level: 'ok' | 'warn' | 'fail'
  /** What was looked at, what was found, and how to mend it. */
  readonly text: string
}

/** What a command said. */
export interface CommandAnswer {
  /** Whether it was there and exited with 0. */
  readonly ok: boolean
  readonly output: string
  /** What it wrote to standard error. */
  readonly complaint: string
}

/** What the doctor asks of the machine. */
export interface Examined {
  readonly run: (command: string, ...words: string[]) => Promise<CommandAnswer>
  /** The last bytes of a log, latin1. @throws Error with `code` */
  readonly tail: (path: string) => Promise<string>
  /** The content of files whose name begins so; empty when there are none. */
  readonly contents: (glob: string) => Promise<readonly string[]>
}

export interface DoctorOptions {
  readonly logPaths: readonly string[]
  readonly configDir: string | undefined
  readonly mapTtlMs: number
  /** Whether a line is one of Postfix's, and whether it names its time zone. */
  readonly recognise: (line: string) => 'unknown' | 'zoned' | 'local'
}

const probe = 'X-Sendpost-Message-UUID: 00000000-0000-4000-8000-000000000000'

export async function examine(examined: Examined, options: DoctorOptions): Promise<Finding[]> {
  const findings: Finding[] = []
  const say: Say = {
    ok: text => findings.push({ level: 'ok', text }),
    warn: text => findings.push({ level: 'warn', text }),
    fail: text => findings.push({ level: 'fail', text }),
  }
  await examinePostfix(examined, options, say)
  for (const path of options.logPaths) {
    if (path === 'journald') await examineJournal(examined, say)
    else if (path !== '-') await examineLog(path, examined, options, say)
  }
  return findings
}

interface Say {
  readonly ok: (text: string) => void
  readonly warn: (text: string) => void
  readonly fail: (text: string) => void
}

async function examinePostfix(examined: Examined, options: DoctorOptions, { ok, warn, fail }: Say): Promise<void> {
  const where = options.configDir === undefined ? [] : ['-c', options.configDir]
  const setting = async (name: string) => {
    const answer = await examined.run('postconf', ...where, '-h', '-x', name)
    return answer.ok ? answer.output.trim() : undefined
  }
  const version = await setting('mail_version')
  if (version === undefined) {
    fail('postconf does not answer: is Postfix installed, and in PATH? --postfix-config DIR names another instance')
    return
  }
  ok(`Postfix ${version}`)
  await examineHeaderChecks(examined, where, setting, { ok, warn, fail })

  if ((await setting('enable_long_queue_ids')) === 'yes') ok('queue ids are long: they are never used again')
  else warn("short queue ids are used again within seconds on a busy server: postconf -e 'enable_long_queue_ids = yes'")

  const lifetime = (await setting('maximal_queue_lifetime')) ?? ''
  const lifetimeMs = postfixTimeMs(lifetime)
  if (lifetimeMs === undefined) warn(`maximal_queue_lifetime is ${JSON.stringify(lifetime)}, which is no time`)
  else if (lifetimeMs > options.mapTtlMs)
    fail(`maximal_queue_lifetime is ${lifetime}, longer than --map-ttl: late deliveries and expiries would be lost`)
  else ok(`maximal_queue_lifetime (${lifetime}) is within --map-ttl`)

  if ((await setting('soft_bounce')) === 'yes') warn('soft_bounce is on: nothing bounces, refusals are soft_bounced')

  const logFile = (await setting('maillog_file')) ?? ''
  const followed = logFile === '/dev/stdout' ? '-' : logFile
  if (logFile !== '' && !options.logPaths.includes(followed))
    warn(`Postfix writes its log to ${logFile} (maillog_file), which is none of --log-path: --log-path ${followed}`)

  const instances = (await setting('multi_instance_directories')) ?? ''
  if (instances !== '')
    warn(`there are further instances: run this for each, --postfix-config ${instances.split(/[\s,]+/)[0]}`)
}

/** Whether the UUID of each message, and of nothing else, is logged. */
async function examineHeaderChecks(
  examined: Examined,
  where: readonly string[],
  setting: (name: string) => Promise<string | undefined>,
  { ok, warn, fail }: Say,
): Promise<void> {
  let action = ''
  for (const map of tableNames((await setting('header_checks')) ?? '')) {
    const { ok: found, output, complaint } = await examined.run('postmap', ...where, '-q', probe, map)
    if (action === '' && found) action = output.trim()
    const reason = complaint.trim().split('\n')[0] ?? ''
    if (reason !== '') fail(`header_checks: ${map} can't be asked: ${reason}`)
  }
  if (action === '') {
    warn(
      'header_checks do not log X-Sendpost-Message-UUID: fine when every Message-ID holds the UUID, else see config/postfix',
    )
    return
  }
  const word = action.split(' ')[0]!
  if (/^INFO$/i.test(word)) ok('header_checks log X-Sendpost-Message-UUID')
  else if (/^(?:IGNORE|STRIP)$/i.test(word))
    fail(`header_checks answer ${word} to X-Sendpost-Message-UUID, which takes it away: use INFO`)
  else warn(`header_checks answer ${word} to X-Sendpost-Message-UUID: use INFO`)

  if (((await setting('receive_override_options')) ?? '').includes('no_header_body_checks'))
    fail(
      'receive_override_options has no_header_body_checks in main.cf: header_checks are never asked. Set it for the port behind the content filter only, in master.cf',
    )
  for (const name of ['nested_header_checks', 'mime_header_checks']) {
    const value = (await setting(name)) ?? ''
    if (value === '') ok(`${name} is empty`)
    else
      warn(
        `${name} is ${JSON.stringify(value)}: a message that another one carries would be taken for it; postconf -e '${name} ='`,
      )
  }
}

/** `type:name` separated by blanks or commas; one in braces may hold both. */
function tableNames(value: string): readonly string[] {
  const names: string[] = []
  let depth = 0
  let name = ''
  for (const char of value) {
    if (char === '{') depth++
    if (char === '}') depth--
    if (depth > 0 || !/[\s,]/.test(char)) name += char
    else {
      if (name !== '') names.push(name)
      name = ''
    }
  }
  if (name !== '') names.push(name)
  return names
}

async function examineLog(
  path: string,
  { tail, contents }: Examined,
  { recognise }: DoctorOptions,
  { ok, warn, fail }: Say,
): Promise<void> {
  let text
  try {
    text = await tail(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT')
      fail(
        `${path} is not there: set --log-path (Debian 12 and later without rsyslog: journald; RHEL: /var/log/maillog)`,
      )
    else fail(`${path} can't be read (${code}): add the agent's user to the file's group (Debian: adm)`)
    return
  }
  const lines = text.split('\n').slice(1, -1)
  const kinds = lines.map(recognise)
  const zoned = kinds.filter(kind => kind === 'zoned').length
  const local = kinds.filter(kind => kind === 'local').length
  if (zoned + local === 0) warn(`${path}: none of its last ${lines.length} lines is Postfix's`)
  else if (local > 0)
    warn(
      `${path}: lines bear neither year nor time zone; they are read as ${process.env['TZ'] ?? 'local'} time (--log-timezone). rsyslog's own format (RSYSLOG_FileFormat) says both`,
    )
  else ok(`${path}: ${zoned} of its last ${lines.length} lines are Postfix's, with time zone`)
  for (const rules of await contents('/etc/logrotate.d/*')) {
    if (rules.includes(path) && /^\s*copytruncate/m.test(rules))
      warn(`${path} is rotated with copytruncate, which loses lines that are written meanwhile: use create`)
  }
}

async function examineJournal({ run }: Examined, { ok, warn, fail }: Say): Promise<void> {
  if (!(await run('journalctl', '-q', '-n', '1', 'SYSLOG_FACILITY=2')).ok) {
    fail("the journal can't be read: add the agent's user to the group systemd-journal")
    return
  }
  ok('the journal can be read')
  for (const unit of ['postfix@-.service', 'postfix.service']) {
    const { output: shown } = await run('systemctl', 'show', '-p', 'LoadState', '-p', 'LogRateLimitIntervalUSec', unit)
    if (!shown.includes('LoadState=loaded')) continue
    const interval = /^LogRateLimitIntervalUSec=(.*)$/m.exec(shown)?.[1]
    if (interval === '0') ok(`${unit}: the journal takes all its lines`)
    else warn(`${unit}: the journal drops lines past its rate limit; see config/postfix/journald-rate-limit.conf`)
  }
}

/** `5d`, `3600`, `1h`. */
function postfixTimeMs(value: string): number | undefined {
  const match = /^(\d{1,9})([smhdw]?)$/.exec(value)
  if (!match) return undefined
  const seconds = { '': 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }[match[2] ?? ''] ?? 1
  return Number(match[1]) * seconds * 1000
}
