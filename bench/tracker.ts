/**
 * npm run bench tracker: requests a second of the tracker, each event confirmed by Redis before its answer, against a
 * bare node:http server that answers the same bytes. Server alone on CPU 0; wrk (50 keep-alive connections) and Redis
 * on CPU 1. The two take turns in one run, so that the machine's mood hits both.
 *
 * The links are those of a campaign: each of 60,000 messages has its own, and they lead to 25 targets. (More messages than
 * the tracker remembers, for forgetting is part of the work.)
 *
 * Then one process against two (--processes 2) that share the port, free to use every core, with 200 connections, which
 * the kernel spreads by chance. Where the generator and Redis have no cores of their own the rate says nothing about
 * that; the CPU time does. With a core for each, the busiest process would set the rate: two are as many times faster as
 * one takes CPU a request than the busiest of two takes for each request of both. What all must pass (a lock, Redis's
 * connection) would show as well, as more CPU.
 *
 * BENCH_SECONDS (3) and BENCH_ROUNDS (3) make it longer. Aims: rate ≥ 0.6 of the bare server's, p99 ≤ 3 times its; two
 * processes ≥ 1.6 times one.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { newMessageId } from '../lib/record/message-id.ts'
import { freePort, startProcess, until, waitForPort } from '../test/support/process.ts'
import { startRedis } from '../test/support/redis.ts'
import { startTracker, type TestTracker } from '../test/support/tracker.ts'

const seconds = Number(process.env['BENCH_SECONDS'] ?? 3)
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3)
const links = 60_000
const targets = 25
const url = 'https://www.example.com/products/spring-2026/index.html?utm_source=newsletter&utm_campaign=spring&id=12345'
const userAgent =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36'
const serverCpu = ['taskset', '-c', '0']

interface Figures {
  readonly rate: number
  readonly requests: number
  /** ms */
  readonly p99: number
  /** CPU time of the server a request, µs. On a busy machine the one figure that still compares. */
  readonly cpu: number
}

/** CPU time of a process so far, in s. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function wrk(
  port: number,
  pid: number,
  script: string,
  forSeconds: number,
  cpus = '1',
  connections = 50,
): Promise<Figures> {
  const before = cpuOf(pid)
  return startProcess('taskset', [
    ...['-c', cpus, 'wrk', '-t1', `-c${connections}`, `-d${forSeconds}s`, '--latency', '-s', script],
    `http://127.0.0.1:${port}/`,
  ]).then(async run => {
    await run.exited
    const text = run.output.stdout
    const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1])
    const [, value, unit] = /\s99%\s+([\d.]+)(us|ms|s)/.exec(text) ?? []
    const p99 = Number(value) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1)
    if (!(rate > 0 && p99 > 0)) throw new Error(`wrk: ${text}${run.output.stderr}`)
    if (/Non-2xx or 3xx|Socket errors/.test(text)) throw new Error(`wrk: ${text}`)
    const requests = Number(/(\d+) requests in/.exec(text)?.[1])
    return { rate, requests, p99, cpu: ((cpuOf(pid) - before) / requests) * 1e6 }
  })
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** Requests for many different links of one kind, in turn. Gives the script's file. */
function writeScript(tracker: TestTracker, kind: 'click' | 'pixel'): string {
  const script = join(tracker.dir, 'wrk.lua')
  const paths = join(tracker.dir, 'paths')
  writeFileSync(
    paths,
    Array.from({ length: links }, (_, index) =>
      tracker.path({
        messageId: newMessageId(Date.now() - 3_600_000),
        ...(kind === 'click' ? { action: 'click', url: `${url}${index % targets}` } : { action: 'open' }),
      }),
    ).join('\n'),
  )
  writeFileSync(
    script,
    `local n = 0
local headers = { ["User-Agent"] = "${userAgent}", ["Accept"] = "*/*", ["Accept-Encoding"] = "gzip, deflate, br" }
local requests = {}
init = function() for path in io.lines("${paths}") do requests[#requests + 1] = wrk.format("GET", path, headers) end end
request = function() n = n % #requests + 1; return requests[n] end
`,
  )
  return script
}

/**
 * Nobody takes the events out again, so that Redis would rewrite its ever longer append-only file several times in a run:
 * for a tenth of the time a second process on the generator's core.
 */
const withoutRewrite = ['--auto-aof-rewrite-percentage', '0']

async function measure(kind: 'click' | 'pixel', args: readonly string[]): Promise<void> {
  const redis = await startRedis(withoutRewrite)
  execFileSync('taskset', ['-apc', '1', String(redis.pid)], { stdio: 'ignore' })
  const tracker = await startTracker({ redisUrl: redis.url, args, under: serverCpu })
  const barePort = await freePort()
  const bare = await startProcess(serverCpu[0]!, [
    ...serverCpu.slice(1),
    process.execPath,
    new URL('support/bare-http.ts', import.meta.url).pathname,
    ...[String(barePort), kind, url],
  ])
  await waitForPort(barePort)
  const script = writeScript(tracker, kind)
  const found: { bare: Figures; tracker: Figures }[] = []
  try {
    await wrk(barePort, bare.pid, script, 1)
    await wrk(tracker.port, tracker.process.pid, script, 2)
    for (let round = 0; round < rounds; round++) {
      found.push({
        bare: await wrk(barePort, bare.pid, script, seconds),
        tracker: await wrk(tracker.port, tracker.process.pid, script, seconds),
      })
    }
    const events = (await tracker.metric(`tracker_events_total{type="${kind === 'click' ? 'click' : 'open'}"}`)) ?? 0
    const queued = (await tracker.metric('tracker_events_pushed_total{outcome="queued"}')) ?? 0
    const of = (pick: (round: { bare: Figures; tracker: Figures }) => number) => median(found.map(pick))
    console.log(
      `${kind.padEnd(6)} bare ${of(({ bare }) => bare.rate).toFixed(0)} req/s, p99 ${of(({ bare }) => bare.p99).toFixed(1)} ms` +
        ` · tracker ${of(({ tracker }) => tracker.rate).toFixed(0)} req/s, p99 ${of(({ tracker }) => tracker.p99).toFixed(1)} ms` +
        ` · rate ratio ${of(({ bare, tracker }) => tracker.rate / bare.rate).toFixed(2)} (aim ≥ 0.6)` +
        ` · p99 ratio ${of(({ bare, tracker }) => tracker.p99 / bare.p99).toFixed(2)} (aim ≤ 3)` +
        ` · CPU ${of(({ bare }) => bare.cpu).toFixed(0)} / ${of(({ tracker }) => tracker.cpu).toFixed(0)} µs a request,` +
        ` ratio ${of(({ bare, tracker }) => bare.cpu / tracker.cpu).toFixed(2)}` +
        ` · ${queued} of ${events} events queued in Redis`,
    )
  } finally {
    await bare.stop()
    await tracker.stop()
    await redis.stop()
  }
}

interface ProcessFigures {
  readonly rate: number
  /** CPU time of the process that took most of it, divided by the requests of all, µs. */
  readonly busiestCpu: number
}

const everyCpu = `0-${availableParallelism() - 1}`

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number)
}

async function measureProcesses(args: readonly string[]): Promise<void> {
  const redis = await startRedis(withoutRewrite)
  const trackers: TestTracker[] = []
  try {
    for (const count of ['1', '2']) {
      trackers.push(await startTracker({ redisUrl: redis.url, args: [...args, '--processes', count] }))
    }
    const [alone, pair] = trackers as [TestTracker, TestTracker]
    await until('the second process', () => pair.process.output.stdout.split('"msg":"listening"').length === 3, 30_000)
    const scripts = trackers.map(tracker => writeScript(tracker, 'click'))
    const run = async (tracker: TestTracker, script: string) => {
      const pids = [tracker.process.pid, ...childrenOf(tracker.process.pid)]
      const before = pids.map(cpuOf)
      const { rate, requests } = await wrk(tracker.port, tracker.process.pid, script, seconds, everyCpu, 200)
      const busiest = Math.max(...pids.map((pid, index) => cpuOf(pid) - before[index]!))
      return { rate, busiestCpu: (busiest / requests) * 1e6 }
    }
    const found: { one: ProcessFigures; two: ProcessFigures }[] = []
    for (let round = -1; round < rounds; round++) {
      const [one, two] = [await run(alone, scripts[0]!), await run(pair, scripts[1]!)]
      if (round >= 0) found.push({ one, two })
    }
    const of = (pick: (round: { one: ProcessFigures; two: ProcessFigures }) => number) => median(found.map(pick))
    console.log(
      `processes: one ${of(({ one }) => one.rate).toFixed(0)} req/s · two ${of(({ two }) => two.rate).toFixed(0)} req/s` +
        ` on ${availableParallelism()} cores with wrk and Redis` +
        ` · CPU of the busiest ${of(({ one }) => one.busiestCpu).toFixed(0)} / ${of(({ two }) => two.busiestCpu).toFixed(0)} µs a request:` +
        ` with a core for each two do ${of(({ one, two }) => one.busiestCpu / two.busiestCpu).toFixed(2)} times one (aim ≥ 1.6)`,
    )
  } finally {
    for (const tracker of trackers) await tracker.stop()
    await redis.stop()
  }
}

const args = process.argv.slice(2)
await measure('click', args)
await measure('pixel', args)
await measureProcesses(args)
