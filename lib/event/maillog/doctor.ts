/** Looks at a Postfix installation and its log: whether the agent can tell from it what became of every message. */

export interface Finding {
  readonly level: 'ok' | 'warn' | 'fail'
  /** What was looked at, what was found, and how to mend it. */
  readonly text: string
}

/** What the doctor asks of the machine. */
export interface Examined {
  /** Output of a command; undefined when it failed or is not there. */
  readonly run: (command: string, ...words: string[]) => Promise<string | undefined>
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
  const ok = (text: string) => findings.push({ level: 'ok', text })
  const warn = (text: string) => findings.push({ level: 'warn', text })
  const fail = (text: string) => findings.push({ level: 'fail', text })
  const where = options.configDir === undefined ? [] : ['-c', options.configDir]
  const setting = async (name: string) => {
    const value = await examined.run('postconf', ...where, '-h', '-x', name)
    return value?.trim()
  }

  const version = await setting('mail_version')
  if (version === undefined) {
    fail('postconf does not answer: is Postfix installed, and in PATH? --postfix-config DIR names another instance')
    return findings
  }
  ok(`Postfix ${version}`)

  const maps = ((await setting('header_checks')) ?? '').split(/[\s,]+/).filter(map => map !== '')
  let action
  for (const map of maps) action ??= (await examined.run('postmap', ...where, '-q', probe, map))?.trim()
  if (action === undefined || action === '')
    warn(
      'header_checks do not log X-Sendpost-Message-UUID: fine when every Message-ID holds the UUID, else see config/postfix',
    )
  else if (/^INFO\b/i.test(action)) ok('header_checks log X-Sendpost-Message-UUID')
  else if (/^(?:IGNORE|STRIP)\b/i.test(action))
    fail(`header_checks answer ${action.split(' ')[0]} to X-Sendpost-Message-UUID, which takes it away: use INFO`)
  else warn(`header_checks answer ${action.split(' ')[0]} to X-Sendpost-Message-UUID: use INFO`)
  if (action !== undefined && action !== '') {
    for (const name of ['nested_header_checks', 'mime_header_checks']) {
      const value = (await setting(name)) ?? ''
      if (value === '') ok(`${name} is empty`)
      else
        warn(
          `${name} is ${JSON.stringify(value)}: a message that another one carries would be taken for it; postconf -e '${name} ='`,
        )
    }
  }

  if ((await setting('enable_long_queue_ids')) === 'yes') ok('queue ids are long: they are never used again')
  else warn("short queue ids are used again within seconds on a busy server: postconf -e 'enable_long_queue_ids = yes'")

  const lifetime = (await setting('maximal_queue_lifetime')) ?? '5d'
  const lifetimeMs = postfixTimeMs(lifetime)
  if (lifetimeMs !== undefined && lifetimeMs > options.mapTtlMs)
    fail(`maximal_queue_lifetime is ${lifetime}, longer than --map-ttl: late deliveries and expiries would be lost`)
  else ok(`maximal_queue_lifetime (${lifetime}) is within --map-ttl`)

  if ((await setting('soft_bounce')) === 'yes') warn('soft_bounce is on: nothing bounces, refusals are soft_bounced')

  for (const path of options.logPaths) {
    if (path === 'journald') await examineJournal(examined, ok, warn, fail)
    else if (path !== '-') await examineLog(path, examined, options, ok, warn, fail)
  }
  return findings
}

type Say = (text: string) => void

async function examineLog(
  path: string,
  { tail, contents }: Examined,
  { recognise }: DoctorOptions,
  ok: Say,
  warn: Say,
  fail: Say,
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

async function examineJournal({ run }: Examined, ok: Say, warn: Say, fail: Say): Promise<void> {
  if ((await run('journalctl', '-q', '-n', '1', 'SYSLOG_FACILITY=2')) === undefined) {
    fail("the journal can't be read: add the agent's user to the group systemd-journal")
    return
  }
  ok('the journal can be read')
  for (const unit of ['postfix@-.service', 'postfix.service']) {
    const shown = await run('systemctl', 'show', '-p', 'LoadState', '-p', 'LogRateLimitIntervalUSec', unit)
    if (shown === undefined || !shown.includes('LoadState=loaded')) continue
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
