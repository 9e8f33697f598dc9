/**
 * Speed and memory of the agent on generated Postfix logs.
 *
 * - parsing and correlation, against `pflogsumm` on the same file in the same run;
 * - memory with 100,000 queue ids open, and how much it grows for each further million events;
 * - the whole agent with an endpoint that takes everything: memory and its growth, and CPU time while nothing happens.
 *
 * Memory is that of processes that were started as the agent starts itself (compiled-before.ts).
 *
 * Usage: node bench/agent.ts [lines] [speed|memory|live…]: the size of the log with open queue ids, default 1,500,000, as a
 * soak 10,000,000; and which of the three, default all.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { agentHeap } from '../lib/event/maillog/agent-heap.ts'
import { correlatorDefaults } from '../lib/event/maillog/correlator-options.ts'
import { readWholeFile } from '../lib/event/maillog/dry-run.ts'
import { PostfixLog } from '../lib/event/maillog/postfix-log.ts'
import { TimeZone } from '../lib/event/maillog/time-zone.ts'
import { mallocSettings, v8Flag } from '../lib/process/compiled-before.ts'
import { keepHeapSmall } from '../lib/process/small-heap.ts'
import { freePort, startProcess, until } from '../test/support/process.ts'
import { processUsage } from '../test/support/process-usage.ts'
import { generatePostfixLog, type GeneratedLog } from './support/postfix-log.ts'

const openMax = 100_000
const speedMessages = 60_000
/** How often the agent's parser and `pflogsumm` take turns, and how often the parser reads the file in a turn. */
const speedTurns = 5
const speedRounds = 3
/** Of the log with open queue ids: lines a message makes in the end, and the share that is deferred. */
const linesPerMessage = 8.4
const deferredOf20 = 8
const idleSeconds = 30
const root = new URL('..', import.meta.url).pathname
const sampleEvery = 100_000

/** What a process of its own found out about one file. */
interface Measured {
  readonly rates: readonly number[]
  readonly events: number
  readonly open: number
  readonly peakMb: number
  /** RSS growth from when the map was full, in MB per million events; undefined when there were too few. */
  readonly slopeMb: number | undefined
}

/** @param rounds times that the file is read, each by a state machine of its own */
async function measure(file: string, lines: number, fullAfterLines: number, rounds: number): Promise<void> {
  // As the agent does.
  keepHeapSmall(agentHeap)
  const rates: number[] = []
  let events = 0
  let open = 0
  let peakMb = 0
  /** Events so far and RSS in MB, every 100,000 events once the map is full. */
  const samples: [events: number, rssMb: number][] = []
  for (let round = 0; round < rounds; round++) {
    events = 0
    const log = new PostfixLog(correlatorDefaults, new TimeZone('UTC'), { report: () => events++, suppressed: () => 0 })
    const verdicts = new Map<string, number>()
    let sampledAt = 0
    const sample = async () => {
      if (rounds > 1 || events - sampledAt < sampleEvery) return
      sampledAt = events
      let read = 0
      for (const count of verdicts.values()) read += count
      if (read > fullAfterLines) samples.push([events, process.memoryUsage.rss() / 1e6])
    }
    const cpu = process.cpuUsage()
    await readWholeFile(file, log, verdicts, sample)
    const { user, system } = process.cpuUsage(cpu)
    rates.push(lines / ((user + system) / 1e6))
    open = log.size
    // Of one pass: the later ones leave maps behind that are garbage.
    peakMb ||= process.resourceUsage().maxRSS / 1024
  }
  console.log(JSON.stringify({ rates, events, open, peakMb, slopeMb: slopeOf(samples) } satisfies Measured))
}

/** Least squares; per million. */
function slopeOf(samples: readonly (readonly [number, number])[]): number | undefined {
  if (samples.length < 5) return undefined
  const mean = (index: 0 | 1) => samples.reduce((sum, sample) => sum + sample[index], 0) / samples.length
  const [x, y] = [mean(0), mean(1)]
  let above = 0
  let below = 0
  for (const [events, rss] of samples) {
    above += (events - x) * (rss - y)
    below += (events - x) ** 2
  }
  return (above / below) * 1e6
}

function measureApart(file: string, { lines, fullAfterLines }: GeneratedLog, rounds: number): Measured {
  const words = [v8Flag, import.meta.filename, 'measure', file, lines, fullAfterLines ?? lines, rounds].map(String)
  const env = { ...process.env, ...environment }
  return JSON.parse(spawnSync(process.execPath, words, { encoding: 'utf8', env }).stdout) as Measured
}

/** What is compiled is in the cache from the second start on. */
const environment = {
  ...mallocSettings,
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'bench-agent-cache'),
}

function rssMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024
}

/** The two take turns, and the median counts: a machine that is busy for a while slows the one that runs then. */
function speed(dir: string): void {
  const path = join(dir, 'speed.log')
  const log = generatePostfixLog(path, { messages: speedMessages, deferredOf20: 1, openMax: speedMessages })
  console.log(`speed: ${log.lines} lines, ${(statSync(path).size / 1e6).toFixed(0)} MB`)
  const thousands = (rates: readonly number[]) => rates.map(rate => Math.round(rate / 1000)).join(', ')
  const agent: number[] = []
  const summary: number[] = []
  for (let turn = 0; turn < speedTurns; turn++) {
    const { rates, events } = measureApart(path, log, speedRounds)
    if (turn === 0) console.log(`  ${events} events`)
    agent.push(Math.max(...rates))
    summary.push(...pflogsummRate(path, log.lines))
  }
  console.log(`  agent: ${thousands(agent)} k lines per CPU second, once warm`)
  if (summary.length > 0) {
    const ratio = (median(agent) / median(summary)).toFixed(1)
    console.log(`  pflogsumm: ${thousands(summary)} k; the agent is ${ratio} times as fast (medians)`)
  }
  rmSync(path)
}

/** Lines per CPU second; nothing where it is not installed. */
function pflogsummRate(path: string, lines: number): number[] {
  const { status, stderr } = spawnSync('bash', ['-c', `TIMEFORMAT='%U %S'; time pflogsumm ${path} > /dev/null`], {
    encoding: 'utf8',
  })
  const [user = 0, system = 0] = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number)
  return status === 0 ? [lines / (user + system)] : []
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

function memory(path: string, log: GeneratedLog): void {
  const { rates, events, open, peakMb, slopeMb } = measureApart(path, log, 1)
  console.log(`memory: ${log.lines} lines, ${events} events, ${log.open} messages wait, ${open} queue ids remembered`)
  console.log(
    `  parsing and correlation: ${Math.round(rates[0]! / 1000)} k lines per CPU second, RSS ${peakMb.toFixed(0)} MB`,
  )
  if (slopeMb !== undefined) console.log(`  growth with a full map: ${slopeMb.toFixed(2)} MB per million events`)
}

/** The agent as it is run, from the beginning of the log until all is uploaded; then nothing for a while. */
async function live(dir: string, path: string, log: GeneratedLog): Promise<void> {
  let uploaded = 0
  /** Events so far and RSS in MB. */
  const samples: [events: number, rssMb: number][] = []
  const sample = () => {
    if (uploaded - (samples.at(-1)?.[0] ?? 0) >= sampleEvery) samples.push([uploaded, rssMb(agent.pid)])
  }
  const sink = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      uploaded += (JSON.parse(body) as { events: unknown[] }).events.length
      sample()
      response.end('{}')
    })
  })
  await new Promise<void>(resolve => void sink.listen(0, '127.0.0.1', resolve))
  const port = await freePort()
  const env = { SENDPOST_API_KEY: 'x', AGENT_CONFIG: undefined, ...environment }
  spawnSync(process.execPath, [`${root}cmd/agent.ts`, '--check'], { env: { ...process.env, ...env } })
  const agent = await startProcess(
    process.execPath,
    [
      `${root}cmd/agent.ts`,
      '--from-beginning',
      `--log-path=${path}`,
      `--state-dir=${join(dir, 'state')}`,
      `--endpoint=http://127.0.0.1:${(sink.address() as AddressInfo).port}/`,
      `--metrics-hostport=127.0.0.1:${port}`,
    ],
    { env },
  )
  const metric = async (name: string) => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1])
  }
  const started = performance.now()
  // The segments that were written last stay on disk.
  const isDone = async () =>
    (await metric('agent_lag_bytes')) === 0 && (await metric('agent_wal_bytes')) < 4e6 && uploaded > log.lines / 10
  await until('everything to be uploaded', async () => isDone().catch(() => false), 900_000, 500)
  const busy = processUsage(agent.pid)!
  const seconds = (performance.now() - started) / 1000
  console.log(
    `agent: ${uploaded} events uploaded in ${seconds.toFixed(0)} s, ${busy.cpuSeconds.toFixed(0)} CPU seconds`,
  )
  console.log(`  RSS ${busy.peakMb.toFixed(0)} MB at most`)
  const full = uploaded * ((log.fullAfterLines ?? log.lines) / log.lines)
  const slopeMb = slopeOf(samples.filter(([events]) => events > full))
  if (slopeMb !== undefined) console.log(`  growth with a full map: ${slopeMb.toFixed(2)} MB per million events`)
  // The map is written once more.
  await sleep(65_000)
  const before = processUsage(agent.pid)!
  await sleep(idleSeconds * 1000)
  const after = processUsage(agent.pid)!
  const ticks = Math.round((after.cpuSeconds - before.cpuSeconds) * 100)
  console.log(`  idle: ${ticks} ticks of 10 ms in ${idleSeconds} s; RSS ${after.peakMb.toFixed(0)} MB at most`)
  await agent.stop()
  sink.close()
}

if (process.argv[2] === 'measure') {
  const [file = '', lines, fullAfterLines, rounds] = process.argv.slice(3)
  await measure(file, Number(lines), Number(fullAfterLines), Number(rounds))
} else {
  const dir = mkdtempSync(join(tmpdir(), 'bench-agent-'))
  try {
    const parts = process.argv.slice(3)
    const wants = (part: string) => parts.length === 0 || parts.includes(part)
    if (wants('speed')) speed(dir)
    const path = join(dir, 'mail.log')
    const messages = Math.ceil(Number(process.argv[2] ?? 1_500_000) / linesPerMessage)
    const needsLog = wants('memory') || wants('live')
    const log = generatePostfixLog(path, { messages: needsLog ? messages : 0, deferredOf20, openMax })
    if (wants('memory')) memory(path, log)
    if (wants('live')) await live(dir, path, log)
  } finally {
    rmSync(dir, { recursive: true })
  }
}
