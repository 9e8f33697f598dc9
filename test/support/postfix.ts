/** A Postfix instance of a test's own: own configuration, queue and log, loopback only, stopped by the pid of its master. */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface PostfixInstance {
  readonly port: number
  readonly dir: string
  /** Written by postlogd. */
  readonly logFile: string
  /** Runs a Postfix command with this instance's configuration. */
  readonly configDir: string
  readonly masterPid: () => number
  /** Kills every process of the instance without warning. */
  kill: () => Promise<void>
  stop: () => Promise<void>
}

export interface PostfixOptions {
  /** Where it listens, 127.0.0.1. */
  readonly port: number
  /** main.cf settings over those of this file; `relayhost: '[127.0.0.1]:2525'`. */
  readonly settings: Readonly<Record<string, string>>
  /** Further lines of master.cf. */
  readonly services?: readonly string[]
}

/** Starts it and waits until it greets. Needs root and Debian's postfix. */
export async function startPostfix(options: PostfixOptions): Promise<PostfixInstance> {
  const dir = mkdtempSync(join(tmpdir(), 'postfix-'))
  // Its daemons run as the user postfix and must be able to pass.
  chmodSync(dir, 0o755)
  const configDir = join(dir, 'config')
  const logFile = join(dir, 'mail.log')
  const postfix = owner('postfix')
  for (const name of ['config', 'spool', 'data']) mkdirSync(join(dir, name))
  chownSync(join(dir, 'data'), postfix.uid, postfix.gid)
  const settings = {
    compatibility_level: '3.6',
    queue_directory: join(dir, 'spool'),
    data_directory: join(dir, 'data'),
    command_directory: '/usr/sbin',
    daemon_directory: '/usr/lib/postfix/sbin',
    mail_owner: 'postfix',
    setgid_group: 'postdrop',
    maillog_file: logFile,
    maillog_file_prefixes: dir,
    myhostname: 'mx.test.example',
    mydestination: '',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    alias_maps: '',
    local_recipient_maps: '',
    disable_dns_lookups: 'yes',
    smtp_host_lookup: 'native',
    smtputf8_enable: 'yes',
    ...options.settings,
  }
  writeFileSync(
    join(configDir, 'main.cf'),
    Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  )
  writeFileSync(join(configDir, 'master.cf'), [...services(options.port), ...(options.services ?? []), ''].join('\n'))

  const output: string[] = []
  const foreground: ChildProcess = spawn('/usr/sbin/postfix', ['-c', configDir, 'start-fg'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  foreground.stdout?.on('data', (chunk: Buffer) => output.push(chunk.toString()))
  foreground.stderr?.on('data', (chunk: Buffer) => output.push(chunk.toString()))
  const ended = new Promise<void>(resolve => foreground.once('exit', () => resolve()))

  const pidFile = join(dir, 'spool', 'pid', 'master.pid')
  const masterPid = () => Number(readFileSync(pidFile, 'utf8').trim())
  const log = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : '')
  const deadline = performance.now() + 20_000
  while (!(await greets(options.port))) {
    if (foreground.exitCode !== null || performance.now() > deadline) {
      throw new Error(`postfix did not start: ${output.join('')}\n${log()}`)
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  const end = async (signal: NodeJS.Signals) => {
    if (foreground.exitCode === null && foreground.signalCode === null) {
      try {
        // The master's own daemons end when it does; a killed master's are in its process group.
        if (signal === 'SIGKILL') process.kill(-masterPid(), signal)
        else process.kill(masterPid(), signal)
      } catch {
        foreground.kill('SIGKILL')
      }
    }
    await ended
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  }
  return {
    port: options.port,
    dir,
    logFile,
    configDir,
    masterPid,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}

function services(port: number): string[] {
  return [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'smtp unix - - n - - smtp',
    'relay unix - - n - - smtp',
    'showq unix n - n - - showq',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'discard unix - - n - - discard',
    'local unix - n n - - local',
    'virtual unix - n n - - virtual',
    'lmtp unix - - n - - lmtp',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'postlog unix-dgram n - n - 1 postlogd',
  ]
}

function owner(user: string): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find(entry => entry.startsWith(`${user}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined)
    throw new Error(`there is no user ${user}: is Debian's postfix installed?`)
  return { uid: Number(uid), gid: Number(gid) }
}

function greets(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection({ host: '127.0.0.1', port })
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1_000, () => settle(false))
    socket.once('error', () => settle(false))
    socket.once('data', data => settle(data.toString('latin1').startsWith('220')))
  })
}
