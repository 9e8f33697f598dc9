/** The wrapper as a process: start, signals, files, and the mail it wraps. */
import { strict as assert } from 'node:assert'
import { existsSync, mkdtempSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { LinkKeys } from '../../lib/link/keys.ts'
import { verifyToken } from '../../lib/link/token.ts'
import { decodeRecord } from '../../lib/record/record.ts'
import { makeCertificate } from '../support/certificate.ts'
import { freePort, startProcess, until } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { Peer } from './peer.ts'
import { SinkUpstream } from './sink-upstream.ts'
import { startWrapper, wrapperProgram, type WrapperProcess } from './wrapper-process.ts'

const dir = mkdtempSync(join(tmpdir(), 'wrapper-'))
const keysFile = join(dir, 'keys')
const linktool = new URL('../../cmd/linktool.ts', import.meta.url).pathname
let redis: TestRedis
let sink: SinkUpstream

before(async () => {
  redis = await startRedis()
  sink = await SinkUpstream.start()
  const made = await startProcess('node', [linktool, 'keys', 'new', '--link-keys', keysFile])
  assert.equal((await made.exited).code, 0)
})
after(async () => {
  await sink.close()
  await redis.stop()
})

/** Starts it with these options over the usual ones and waits until it listens. */
function start(options: readonly string[] = [], upstreamPort = sink.port): Promise<WrapperProcess> {
  return startWrapper(upstreamPort, [...usualOptions(), ...options])
}
function usualOptions(): string[] {
  return ['--tracking-url', 'http://track.test', '--link-keys', keysFile, '--redis-url', redis.url]
}
function usual(port: number, upstreamPort = sink.port): string[] {
  return ['--in-hostport', `127.0.0.1:${port}`, '--out-hostport', `127.0.0.1:${upstreamPort}`, ...usualOptions()]
}
/** Starts it and gives what it said when it did not go on. */
async function refused(options: readonly string[]): Promise<string> {
  const wrapper = await startProcess('node', [wrapperProgram, ...options])
  const { code } = await wrapper.exited
  assert.notEqual(code, 0)
  const text = `${wrapper.output.stderr}${wrapper.output.stdout}`
  assert.doesNotMatch(text, /\n {4}at /, 'a stack is no answer')
  return text
}

async function send(port: number, recipients: readonly string[], message: string): Promise<string> {
  const client = await Peer.connect(port)
  await client.reply()
  await client.ask('EHLO client.test')
  await client.ask('MAIL FROM:<sender@b.test>')
  for (const recipient of recipients) await client.ask(`RCPT TO:<${recipient}>`)
  await client.ask('DATA')
  const reply = await client.ask(`${message}\r\n.`)
  client.socket.destroy()
  return reply
}

const html = [
  'From: sender@b.test',
  'To: someone@d.test',
  'Subject: a test',
  'x-job: spring',
  'x-sp-subaccount-id: 7',
  'MIME-Version: 1.0',
  'Content-Type: text/html; charset=utf-8',
  '',
  '<html><body><a href="https://example.test/a?b=1&amp;c=2">go</a></body></html>',
].join('\r\n')

describe('start', () => {
  test('refused: settings that do not go together, in one line', async () => {
    assert.match(await refused(['--in-hostport', '127.0.0.1:9']), /--out-hostport HOST:PORT is required/)
  })

  test('refused: a debug file in no folder', async () => {
    const options = [...usual(await freePort()), '--downstream-debug', '/nonexistent/x']
    assert.match(await refused(options), /--downstream-debug \/nonexistent\/x/)
  })

  test('refused: a port in use', async () => {
    assert.match(await refused(usual(sink.port, 9)), /is in use/)
  })

  test('--check', async () => {
    const good = await startProcess('node', [wrapperProgram, ...usual(2), '--check'])
    assert.equal((await good.exited).code, 0)
    const bad = await startProcess('node', [wrapperProgram, ...usual(2), '--in-hostport', '0.0.0.0:2', '--check'])
    assert.equal((await bad.exited).code, 1)
  })

  test('starts while Redis and the upstream are away, and says so', async () => {
    const wrapper = await start(['--redis-url', `unix://${dir}/no-redis`], 9)
    const client = await Peer.connect(wrapper.port)
    await client.reply()
    assert.match(await client.ask('EHLO client.test'), /^421 4\.3\.2 /)
    await until('a word about both', () => {
      const text = wrapper.output.stdout
      return text.includes('no connection to the upstream') && text.includes('Redis is away')
    })
    assert.equal((await wrapper.stop()).code, 0)
  })
})

describe('a message', () => {
  test('is stamped and wrapped, and its record is in Redis', async () => {
    const dataFile = join(dir, 'data.txt')
    const conversationFile = join(dir, 'conversation.txt')
    const debug = ['--upstream-data-debug', dataFile, '--downstream-debug', conversationFile]
    const wrapper = await start(['--honeypot-link', ...debug])
    const before = sink.accepted.length
    assert.match(await send(wrapper.port, ['someone@d.test'], html), /^250 2\.0\.0 Ok: queued/)
    const { data } = sink.accepted[before]!
    const messageId = /^X-Sp-Message-Id: ([0-9a-f]{20})\r\n/m.exec(data)?.[1] ?? ''
    const uuid = /^X-Sendpost-Message-UUID: (\S{36})\r\n/m.exec(data)?.[1]
    assert.notEqual(messageId, '')
    const token = /href="http:\/\/track\.test\/([\w-]+)"/.exec(data)?.[1] ?? ''
    const verdict = verifyToken(token, LinkKeys.load(keysFile))
    assert.deepEqual(verdict.ok && verdict.link, {
      action: 'click',
      messageId,
      url: 'https://example.test/a?b=1&c=2',
    })
    assert.match(data, /<img[^>]*http:\/\/track\.test\/[\w-]+/)
    assert.match(data, /<a href="http:\/\/track\.test\/[\w-]+" aria-hidden="true"/)
    const { client } = redis
    const record = await until('the record', async () => {
      const [key] = await client.keys(`*:w:${messageId}`)
      return key === undefined ? undefined : decodeRecord((await client.get(key)) ?? '')
    })
    assert.deepEqual(record, {
      recipient: 'someone@d.test',
      uuid,
      subaccount: 7,
      job: 'spring',
      sender: 'sender@b.test',
    })
    assert.equal((await wrapper.stop()).code, 0)
    assert.match(readFileSync(dataFile, 'latin1'), /href="http:\/\/track\.test\//)
    assert.match(readFileSync(conversationFile, 'latin1'), /C: RCPT TO:<someone@d\.test>/)
    assert.equal(statSync(conversationFile).mode & 0o777, 0o600)
    assert.doesNotMatch(wrapper.output.stdout, /d\.test|b\.test/, 'no addresses in the log')
  })

  test('goes on while Redis is dead or frozen, as fast as ever', async () => {
    const own = await startRedis()
    const wrapper = await start(['--redis-url', own.url])
    for (const signal of ['SIGSTOP', 'SIGCONT', 'SIGKILL'] as const) {
      await own.kill(signal)
      const begun = performance.now()
      for (let count = 0; count < 5; count++) assert.match(await send(wrapper.port, ['x@d.test'], html), /^250 /)
      assert.ok(performance.now() - begun < 2_000, signal)
    }
    assert.equal((await wrapper.stop(9_000)).code, 0)
    await own.stop()
  })
})

describe('signals', () => {
  test('SIGHUP: new keys and a new certificate for what comes', async () => {
    const first = makeCertificate('first.test')
    const second = makeCertificate('second.test')
    const wrapper = await start(['--certfile', first.certFile, '--privkeyfile', first.keyFile])
    const subject = async () => {
      const client = await Peer.connect(wrapper.port)
      await client.reply()
      await client.ask('EHLO client.test')
      await client.ask('STARTTLS')
      client.socket.removeAllListeners('data')
      const socket: TLSSocket = connectTls({ socket: client.socket, rejectUnauthorized: false })
      await new Promise<void>(resolve => {
        socket.once('secureConnect', () => resolve())
      })
      const name = socket.getPeerCertificate().subject.CN
      socket.destroy()
      return name
    }
    assert.equal(await subject(), 'first.test')
    renameSync(second.certFile, first.certFile)
    renameSync(second.keyFile, first.keyFile)
    wrapper.kill('SIGHUP')
    await until('the new certificate', async () => (await subject()) === 'second.test')
    // One that can't be read changes nothing.
    writeFileSync(first.certFile, 'garbage')
    wrapper.kill('SIGHUP')
    await until('a word about it', () => wrapper.output.stdout.includes('reload failed'))
    assert.equal(await subject(), 'second.test')
    assert.equal((await wrapper.stop()).code, 0)
  })

  test('SIGHUP: the debug files that were moved away are begun anew', async () => {
    const files = ['data', 'conversation'].map(name => join(dir, `rotated-${name}.txt`))
    const [dataFile = '', conversationFile = ''] = files
    const wrapper = await start(['--upstream-data-debug', dataFile, '--downstream-debug', conversationFile])
    await send(wrapper.port, ['before@d.test'], 'Subject: before')
    for (const file of files) renameSync(file, `${file}.1`)
    wrapper.kill('SIGHUP')
    await until('the new files', () => files.every(file => existsSync(file)))
    await send(wrapper.port, ['after@d.test'], 'Subject: after')
    assert.equal((await wrapper.stop()).code, 0)
    for (const file of files) {
      assert.equal(statSync(file).mode & 0o777, 0o600)
      const [old, anew] = [`${file}.1`, file].map(name => readFileSync(name, 'latin1'))
      assert.match(old ?? '', /before/)
      assert.match(anew ?? '', /after/)
      assert.doesNotMatch(anew ?? '', /before/)
    }
  })

  test('SIGTERM: what is under way is finished, what is idle is told, nothing new begins', async () => {
    const own = await SinkUpstream.start()
    const wrapper = await start([], own.port)
    let answer: (reply: string) => void = () => undefined
    own.misbehave = command => (command === '.' ? new Promise(resolve => (answer = resolve)) : undefined)
    const idle = await Peer.connect(wrapper.port)
    await idle.reply()
    const busy = send(wrapper.port, ['x@d.test'], html)
    await until('the message to be upstream', () => own.commands.includes('.'))
    wrapper.kill('SIGTERM')
    assert.match((await idle.reply()).at(-1)!, /^421 4\.3\.2 /)
    const late = await Peer.connect(wrapper.port)
    assert.match((await late.reply()).at(-1)!, /^421 4\.3\.2 /)
    answer('250 2.0.0 Ok: after the signal')
    assert.equal(await busy, '250 2.0.0 Ok: after the signal')
    assert.equal((await wrapper.exited).code, 0)
    await own.close()
  })

  test('SIGTERM with a client that never ends: exit 0 within ten seconds', async () => {
    const wrapper = await start()
    const client = await Peer.connect(wrapper.port)
    await client.reply()
    for (const command of ['EHLO client.test', 'MAIL FROM:<a@b.test>', 'RCPT TO:<x@d.test>', 'DATA'])
      await client.ask(command)
    const begun = performance.now()
    wrapper.kill('SIGTERM')
    assert.equal((await wrapper.exited).code, 0)
    assert.ok(performance.now() - begun < 10_000)
    client.socket.destroy()
  })
})

describe('several processes', () => {
  test('share the port, are watched, and add up their metrics', async () => {
    const metricsPort = await freePort()
    const wrapper = await start(['--processes', '2', '--metrics-hostport', `127.0.0.1:${metricsPort}`])
    const children = () =>
      readFileSync(`/proc/${wrapper.pid}/task/${wrapper.pid}/children`, 'latin1').trim().split(' ').map(Number)
    const metric = async (line: RegExp) => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
      return Number(line.exec(text)?.[1] ?? Number.NaN)
    }
    await until('both to be ready', () => wrapper.output.stdout.split('"ready"').length === 3)
    for (let count = 0; count < 20; count++) assert.match(await send(wrapper.port, ['x@d.test'], html), /^250 /)
    assert.equal(await metric(/^wrapper_messages_total\{result="accepted"\} (\d+)$/m), 20)
    const [victim = 0] = children()
    process.kill(victim, 'SIGKILL')
    await until('its successor', () => wrapper.output.stdout.split('"ready"').length === 4)
    assert.ok(!children().includes(victim))
    assert.match(await send(wrapper.port, ['x@d.test'], html), /^250 /)
    const last = children()
    assert.equal((await wrapper.stop(9_000)).code, 0)
    for (const pid of last) assert.throws(() => process.kill(pid, 0), 'no process is left')
  })

  test('a start that fails in one of them is told in one line', async () => {
    assert.match(await refused([...usual(sink.port, 9), '--processes', '2']), /is in use/)
  })
})
