/**
 * npm run bench wrapper: a 30 KB message with 25 links, a new connection for each, 10 sessions, through the wrapper to
 * smtp-sink, and beside it, in turn and in the same run, from the generator straight into the sink. The wrapper on
 * CPU 0; generator and sink on CPU 1.
 *
 * Two processes (--processes 2) have both cores, and share one of them with generator and sink, so their rate says little:
 * what they can do on cores of their own follows from how evenly the work is spread, and from the CPU that a message costs
 * them, against what it costs one process on the one core and on the other, where it stands beside generator and sink too.
 *
 * CPU seconds differ between machines and between hours; beside them stands, as the measure of both, what a bare relay
 * takes in the same run (support/bare-relay.ts).
 *
 * BENCH_MESSAGES (2000), BENCH_ROUNDS (5) and BENCH_WARM (10000) make it longer. Aims: ≤ 1.4 CPU-seconds per 1,000
 * messages with tracking, ≤ 0.6 without, ≥ 0.2 of the rate straight into the sink, two processes ≥ 1.6 times one; a message with 10 MB of
 * attachment isn't held.
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { freePort, startProcess, waitForPort, type StartedProcess } from '../test/support/process.ts'
import { startRedis } from '../test/support/redis.ts'

const messages = Number(process.env['BENCH_MESSAGES'] ?? 2000)
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5)
/** Messages until the code is compiled: before, the compiler takes as much as the messages. */
const warm = Number(process.env['BENCH_WARM'] ?? 10_000)
const dir = mkdtempSync(join(tmpdir(), 'bench-'))
const keys = join(dir, 'keys')
const command = (name: string) => resolve(import.meta.dirname, `../cmd/${name}.ts`)

/** The message that all figures are for: ../shared/bench has one, else one of the same kind. */
function newsletter(): string {
  const file = resolve(import.meta.dirname, '../../shared/bench/msg-qp.eml')
  if (existsSync(file)) return file
  const own = join(dir, 'message.eml')
  const rows = Array.from(
    { length: 25 },
    (_, row) => `<p>${'some words '.repeat(100)}</p>\r\n<a href="https://example.test/${row}?a=1&amp;b=2">go</a>`,
  )
  writeFileSync(
    own,
    `Subject: news\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<body>${rows.join('\r\n')}</body>\r\n`,
  )
  return own
}

function withAttachment(bytes: number): string {
  const file = join(dir, 'attachment.eml')
  const lines = `${'QUJD'.repeat(19)}\r\n`.repeat(bytes / 78)
  writeFileSync(
    file,
    'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n' +
      '<a href="https://example.test/">x</a>\r\n--b\r\nContent-Type: application/octet-stream\r\n' +
      `Content-Transfer-Encoding: base64\r\n\r\n${lines}--b--\r\n`,
  )
  return file
}

interface Figures {
  /** Messages a second. */
  readonly rate: number
  readonly p99Ms: number
  /** CPU time of the wrapper, in seconds per 1,000 messages. */
  readonly cpu: number
  /** Share of that of its busiest process. */
  readonly busiest: number
}

/** CPU seconds of each process of a wrapper, the first one first. */
function cpusOf(pid: number): number[] {
  return [pid, ...childrenOf(pid)].map(each => {
    const fields = readFileSync(`/proc/${each}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  })
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number)
}

function peakMegabytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024
}

async function generate(port: number, file: string, count: number, sessions = 10, pid?: number): Promise<Figures> {
  const before = pid === undefined ? [] : cpusOf(pid)
  const generator = resolve(import.meta.dirname, 'support/smtp-generator.ts')
  const words = [port, sessions, count, file].map(String)
  const run = await startProcess('taskset', ['-c', '1', process.execPath, generator, ...words])
  const { code } = await run.exited
  if (code !== 0) throw new Error(`generator: ${run.output.stderr}`)
  const { seconds, p99Ms } = JSON.parse(run.output.stdout) as { seconds: number; p99Ms: number }
  const used = pid === undefined ? [] : cpusOf(pid).map((cpu, index) => cpu - (before[index] ?? 0))
  const all = used.reduce((sum, cpu) => sum + cpu, 0)
  return { rate: count / seconds, p99Ms, cpu: (all * 1000) / count, busiest: Math.max(0, ...used) / (all || 1) }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function print(what: string, figures: readonly Figures[], direct: readonly Figures[]): void {
  const rate = median(figures.map(figure => figure.rate))
  const ratio = median(figures.map((figure, round) => figure.rate / (direct[round]?.rate ?? Number.NaN)))
  const cpu = median(figures.map(figure => figure.cpu))
  const p99 = median(figures.map(figure => figure.p99Ms))
  console.log(
    `${what.padEnd(22)} ${rate.toFixed(0).padStart(6)} msg/s  p99 ${p99.toFixed(0).padStart(4)} ms` +
      (cpu > 0 ? `  ${cpu.toFixed(2)} CPU-s per 1,000  ${ratio.toFixed(2)} of the direct rate` : ''),
  )
}

const redis = await startRedis()
const sinkPort = await freePort()
const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
const sink = await startProcess('taskset', ['-c', '1', 'smtp-sink', ...user, `127.0.0.1:${sinkPort}`, '1000'])
await waitForPort(sinkPort)
const made = await startProcess('node', [command('linktool'), 'keys', 'new', '--link-keys', keys])
await made.exited

async function startBareRelay(): Promise<StartedProcess & { port: number }> {
  const port = await freePort()
  const script = resolve(import.meta.dirname, 'support/bare-relay.ts')
  const relay = await startProcess('taskset', ['-c', '0', process.execPath, script, ...[port, sinkPort].map(String)])
  await waitForPort(port)
  return { ...relay, port }
}

async function startWrapper(options: readonly string[], cpus: string): Promise<StartedProcess & { port: number }> {
  const port = await freePort()
  const wrapper = await startProcess('taskset', [
    ...['-c', cpus, process.execPath, command('wrapper'), '--in-hostport', `127.0.0.1:${port}`],
    ...['--out-hostport', `127.0.0.1:${sinkPort}`, '--tracking-url', 'https://track.example.com'],
    ...['--link-keys', keys, '--redis-url', redis.url, ...options],
  ])
  await waitForPort(port)
  return { ...wrapper, port }
}

const tracking = await startWrapper([], '0')
const beside = await startWrapper([], '1')
const plain = await startWrapper(['--no-track-open', '--no-track-click'], '0')
const two = await startWrapper(['--processes', '2'], '0,1')
const bare = await startBareRelay()
try {
  const file = newsletter()
  for (const { port } of [tracking, beside, plain, two, bare]) await generate(port, file, warm)
  const direct: Figures[] = []
  const wrapped: Figures[] = []
  const squeezed: Figures[] = []
  const passed: Figures[] = []
  const shared: Figures[] = []
  const relayed: Figures[] = []
  for (let round = 0; round < rounds; round++) {
    direct.push(await generate(sinkPort, file, messages))
    wrapped.push(await generate(tracking.port, file, messages, 10, tracking.pid))
    squeezed.push(await generate(beside.port, file, messages, 10, beside.pid))
    passed.push(await generate(plain.port, file, messages, 10, plain.pid))
    // Twice the sessions, so that each of the two has as many as one has alone.
    shared.push(await generate(two.port, file, messages, 20, two.pid))
    relayed.push(await generate(bare.port, file, messages, 10, bare.pid))
  }
  print('straight into the sink', direct, direct)
  print('wrapper, tracking on', wrapped, direct)
  print('wrapper, tracking off', passed, direct)
  print('beside generator, sink', squeezed, direct)
  print('two processes', shared, direct)
  print('bare relay', relayed, direct)
  const timesBare = (figures: readonly Figures[]) =>
    median(figures.map((figure, round) => figure.cpu / (relayed[round]?.cpu ?? Number.NaN))).toFixed(2)
  console.log(
    `CPU: with tracking ${timesBare(wrapped)} times that of the bare relay, without ${timesBare(passed)} times`,
  )
  const cost = median(
    shared.map(
      ({ cpu }, round) => (2 * cpu) / ((wrapped[round]?.cpu ?? Number.NaN) + (squeezed[round]?.cpu ?? Number.NaN)),
    ),
  )
  const busiest = median(shared.map(figure => figure.busiest))
  console.log(
    `two processes cost ${cost.toFixed(2)} of the CPU of one on the same cores, the busier has ${(busiest * 100).toFixed(0)} % of it:` +
      ` on two free cores ${(1 / (cost * busiest)).toFixed(2)} times the rate of one`,
  )
  const before = peakMegabytes(tracking.pid)
  await generate(tracking.port, withAttachment(10e6), 10, 1)
  const grown = peakMegabytes(tracking.pid) - before
  console.log(`10 MB attachment, 10 times: peak memory ${before.toFixed(0)} MB, then ${grown.toFixed(1)} MB more`)
} finally {
  await Promise.all([tracking.stop(), beside.stop(), plain.stop(), two.stop(), bare.stop(), sink.stop()])
  await redis.stop()
}
