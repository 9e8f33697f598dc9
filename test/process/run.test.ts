/** How every process starts, hears signals and ends. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort, startProcess, type StartedProcess, until } from '../support/process.ts'

const program = fileURLToPath(new URL('program.ts', import.meta.url))

let dir: string
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'process-'))
})
after(() => rmSync(dir, { recursive: true }))

const running: StartedProcess[] = []
// A test that fails must not wait for what it started.
afterEach(() => {
  for (const it of running.splice(0)) it.kill('SIGKILL')
})

async function start(...args: string[]): Promise<StartedProcess> {
  const it = await startProcess('node', [program, ...args], { input: '' })
  running.push(it)
  return it
}

async function outcome(...args: string[]) {
  const started = await start(...args)
  const { code } = await started.exited
  return { code, ...started.output }
}

async function started(...args: string[]) {
  const it = await start(...args)
  await until('its start', () => it.output.stdout.includes('"started"'), 20_000)
  return it
}

const exits: readonly (readonly [args: string[], code: number, stdout: RegExp, stderr: RegExp])[] = [
  [['--help'], 0, /Does nothing\.[\s\S]*--fail-start/, /^$/],
  [['-h'], 0, /Does nothing\./, /^$/],
  [['--version'], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
  [['--check'], 0, /^console: the configuration is good\n$/, /^$/],
  [['--check', '--unknown'], 1, /^$/, /^console: unknown option '--unknown'\.\n$/],
  [['-check', '--end=perhaps'], 1, /^$/, /^console: .*expected true or false\n$/],
  [['--unknown'], 2, /^$/, /^console: unknown option/],
  [
    ['--api-key', '=', 'secret'],
    2,
    /^$/,
    /^console: expected no words beside options, but there is 1; options are .*\n$/,
  ],
  [['--logfile', '/nonexistent/folder/log'], 2, /^$/, /^console: --logfile \/nonexistent\/folder\/log: .*ENOENT/],
  [['--fail-start'], 1, /"level":"fatal".*"reason":"the sky is down: hold it up","msg":"not started"\}\n$/, /^$/],
  [['--end'], 0, /"started"[\s\S]*"closed"/, /^$/],
  [['--throw'], 1, /"level":"fatal".*"a defect".*unexpected failure/, /^$/],
]

for (const [args, code, stdout, stderr] of exits) {
  test(`${args.join(' ')} ends with ${code}`, async () => {
    const end = await outcome(...args)
    assert.match(end.stdout, stdout)
    assert.match(end.stderr, stderr)
    assert.equal(end.code, code)
  })
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} closes and ends with 0`, async () => {
    const it = await started()
    it.kill(signal)
    assert.deepEqual(await it.exited, { code: 0, signal: null })
    assert.match(it.output.stdout, new RegExp(`"signal":"${signal}","msg":"stopping"[\\s\\S]*"closed"`))
  })
}

test('SIGTERM ends a start and a close that hang, within ten seconds, with 1 and a word about it', async () => {
  const hanging = [
    ['--hang-start', '"hanging"'],
    ['--hang-close', '"started"'],
  ] as const
  await Promise.all(
    hanging.map(async ([option, sign]) => {
      const it = await start(option)
      await until('its sign', () => it.output.stdout.includes(sign), 20_000)
      const from = performance.now()
      it.kill()
      assert.deepEqual(await it.exited, { code: 1, signal: null }, option)
      assert.ok(performance.now() - from < 10_000, option)
      assert.match(it.output.stdout, /not everything accepted was finished in time/)
    }),
  )
})

test('SIGHUP opens the log anew and reloads; a reload that fails changes nothing', async () => {
  const file = join(dir, 'log')
  const it = await start(`--logfile=${file}`)
  await until('its start', () => existsSync(file) && readFileSync(file, 'utf8').includes('"started"'), 20_000)
  renameSync(file, `${file}.1`)
  it.kill('SIGHUP')
  await until('the first reload', () => existsSync(file) && readFileSync(file, 'utf8').includes('"reloads":1'))
  it.kill('SIGHUP')
  await until('the second reload', () => /"reason":"bad file","msg":"reload failed/.test(readFileSync(file, 'utf8')))
  assert.deepEqual(await it.stop(), { code: 0, signal: null })
  assert.match(readFileSync(file, 'utf8'), /"closed"/)
  assert.doesNotMatch(readFileSync(`${file}.1`, 'utf8'), /"closed"/)
  assert.equal(it.output.stdout, '')
})

test('health says that a reload failed, until one succeeds', async () => {
  const port = await freePort()
  const it = await started(`--metrics-hostport=127.0.0.1:${port}`)
  const reload = async () => {
    const before = it.output.stdout.split('"reloaded"').length
    it.kill('SIGHUP')
    await until('the reload', () => it.output.stdout.split('"reloaded"').length > before)
    const answer = await fetch(`http://127.0.0.1:${port}/health`)
    return ((await answer.json()) as { reasons: unknown }).reasons
  }
  assert.deepEqual(await reload(), {})
  assert.deepEqual(await reload(), { reload: 'bad file: what was read before stays in force' })
  assert.deepEqual(await reload(), {})
  assert.equal((await it.stop()).code, 0)
})

test('what breaks by itself is told once, closed, and ends with 1', async () => {
  const it = await start('--break')
  assert.equal((await it.exited).code, 1)
  assert.equal(it.output.stdout.split('the source is gone"').length, 2, it.output.stdout)
  assert.match(it.output.stdout, /"ended by a failure"[^]*"closed"/)
})

test('a log that can not be opened anew is gone on with', async () => {
  const logs = join(dir, 'logs')
  mkdirSync(logs)
  const it = await start(`--logfile=${logs}/log`)
  const text = (folder: string) => readFileSync(join(folder, 'log'), 'utf8')
  await until('its start', () => existsSync(join(logs, 'log')) && text(logs).includes('"started"'), 20_000)
  renameSync(logs, `${logs}.away`)
  it.kill('SIGHUP')
  await until('a word about it', () => /ENOENT.*can not be opened anew/.test(text(`${logs}.away`)))
  await until('the reload', () => text(`${logs}.away`).includes('"reloads":1'))
  renameSync(`${logs}.away`, logs)
  assert.deepEqual(await it.stop(), { code: 0, signal: null })
  assert.match(text(logs), /"closed"/)
})

test('a reader of its log that stops reading stops nothing else', async () => {
  const it = await start('--flood')
  it.child.stdout?.pause()
  const lives = () => it.output.stderr.length
  await until('the pipe to be full and more', () => lives() > 60, 20_000)
  const before = lives()
  await until('it to go on', () => lives() > before + 60, 20_000)
  it.kill()
  it.child.stdout?.resume()
  assert.equal((await it.exited).code, 0)
})

test('a reader of its log that goes away stops nothing', async () => {
  const it = await started('--flood')
  it.child.stdout?.destroy()
  const before = it.output.stderr.length
  await until('it to go on', () => it.output.stderr.length > before + 60, 20_000)
  it.kill()
  const code = await new Promise(resolve => it.child.once('exit', resolve))
  assert.equal(code, 0)
})

/** The status and text of a GET under a Host header of one's choice. */
function get(port: number, path: string, host: string): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    request({ port, path, host: '127.0.0.1', headers: { host } }, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece))
      answer.once('end', () => resolve({ status: answer.statusCode, text }))
    })
      .once('error', reject)
      .end()
  })
}

test('health and metrics are served under its own names only', async () => {
  const port = await freePort()
  const it = await started(`--metrics-hostport=127.0.0.1:${port}`)
  const health = await get(port, '/health', `localhost:${port}`)
  assert.equal(health.status, 200)
  assert.partialDeepStrictEqual(JSON.parse(health.text), { status: 'ok', pid: it.pid })
  assert.match((await get(port, '/metrics', '127.0.0.1')).text, /process_cpu_seconds_total/)
  assert.equal((await get(port, '/metrics', 'LOCALHOST')).status, 200)
  assert.equal((await get(port, '/health', 'evil.example')).status, 403)
  assert.equal((await it.stop()).code, 0)
})

test('the lag of the event loop is told, without the time between two samples', async () => {
  const port = await freePort()
  const it = await started(`--metrics-hostport=127.0.0.1:${port}`)
  const lag = async (what: string) => {
    const { text } = await get(port, '/metrics', 'localhost')
    return Number(new RegExp(`^nodejs_eventloop_lag_${what}_seconds (.+)$`, 'm').exec(text)?.[1])
  }
  // Each time that it is told it begins anew; there is none before the second sample.
  const [waitMs, everyMs] = [20_000, 300]
  await until('a late sample', async () => (await lag('max')) > 0, waitMs, everyMs)
  await until('one in time', async () => (await lag('min')) < 0.009, waitMs, everyMs)
  for (const what of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']) assert.ok((await lag(what)) < 60, what)
  assert.equal((await it.stop()).code, 0)
})

test('on every address they are served under any name', async () => {
  const port = await freePort()
  const it = await started(`--metrics-hostport=0.0.0.0:${port}`)
  assert.equal((await get(port, '/health', 'mx1.example.com:9113')).status, 200)
  assert.equal((await it.stop()).code, 0)
})

test('a metrics port in use is one clear line and exit 1', async () => {
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  const { code, stdout } = await outcome(`--metrics-hostport=127.0.0.1:${port}`)
  taken.close()
  assert.equal(code, 1)
  assert.match(stdout, new RegExp(`^[^\\n]*127\\.0\\.0\\.1:${port} is in use[^\\n]*\\n$`))
})
