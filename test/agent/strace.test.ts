/** Killed, or refused, at the very system calls that make things last. Needs strace. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { startProcess, until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { agentUnderTest, deliveryLines, missing, root, type AgentUnderTest } from './agent-under-test.ts'

const skip = spawnSync('strace', ['-V']).status !== 0 && 'no strace'
const events = 250

const all = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => deliveryLines(from + index)).join('')

/** The agent, with `what` done to a system call as strace's `inject` takes it. */
async function injected(context: TestContext, agent: AgentUnderTest, call: string, what: string) {
  const traced = await startProcess(
    'strace',
    [
      ...['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${what}`],
      ...[process.execPath, `${root}cmd/agent.ts`, '--from-beginning', `--log-path=${agent.logPath}`],
      ...[`--state-dir=${agent.stateDir}`, `--endpoint=${agent.endpoint.url}`, '--batch-age=50ms'],
      ...[`--metrics-hostport=127.0.0.1:${agent.metricsPort}`, '--log-timezone=UTC'],
    ],
    // strace counts the calls of each thread, so all file work is done by one: then each of them comes about.
    { env: { SENDPOST_API_KEY: 'test-key', UV_THREADPOOL_SIZE: '1' } },
  )
  // What is watched outlives strace when that is killed, and must not outlive the test.
  const end = (signal: NodeJS.Signals) => {
    for (const pid of childrenOf(traced.pid)) process.kill(pid, signal)
  }
  context.after(async () => {
    end('SIGKILL')
    await traced.stop()
  })
  return { traced, end }
}

// Those that come about for sure; in the long form each, until a run has none so late.
const calls = ['pwrite64', 'fdatasync', 'rename', 'unlink', 'symlink', 'fsync']
const whensMax = sized(1, 60)

for (const call of sized(0, 1) === 1 ? calls : calls.slice(0, 3)) {
  test(`killed at a ${call}: nothing is lost`, { skip }, async context => {
    let [kills, repeated] = [0, 0]
    for (let when = 1; when <= whensMax; when++) {
      let wasKilled = false
      await context.test(`the ${when}.`, async inner => {
        const agent = await agentUnderTest(inner, '--from-beginning')
        writeFileSync(agent.logPath, all(0, events))
        const { traced, end } = await injected(inner, agent, call, `signal=KILL:when=${when}`)
        const isDone = () => missing(agent.endpoint, events).length === 0
        await until(
          'the kill or all events',
          () => traced.child.exitCode !== null || traced.child.signalCode !== null || isDone(),
          20_000,
        )
        // A whole cycle ends with the state written down.
        if (isDone()) end('SIGTERM')
        // strace ends as what it watched did.
        const { code, signal } = await traced.exited
        wasKilled = signal === 'SIGKILL'
        assert.ok(wasKilled || code === 0, `no kill, but exit code ${code}: ${JSON.stringify(traced.output)}`)
        if (whensMax === 1) assert.ok(wasKilled, 'it did not end by itself')
        await agent.start()
        await until('all events', isDone, 15_000)
        const repeats = agent.endpoint.events.length - events
        assert.ok(repeats <= 100, `${repeats} events were repeated`)
        repeated += repeats
      })
      if (!wasKilled) break
      kills++
    }
    context.diagnostic(`${call}: ${kills} kills, 0 of ${kills * events} events lost, ${repeated} repeated`)
  })
}

for (const [call, what] of [
  ['fdatasync', 'error=EIO:when=2+3'],
  ['pwrite64', 'error=ENOSPC:when=2+3'],
  ['rename', 'error=ENOSPC:when=1+2'],
  ['unlink', 'error=EIO:when=1+2'],
] as const) {
  test(`${call} fails again and again (${what}): it goes on, nothing is lost`, { skip }, async context => {
    const agent = await agentUnderTest(context, '--from-beginning')
    writeFileSync(agent.logPath, '')
    const { traced, end } = await injected(context, agent, call, what)
    for (let from = 0; from < events; from += 50) {
      appendFileSync(agent.logPath, all(from, from + 50))
      await until('the events', () => missing(agent.endpoint, from + 50).length === 0, 20_000)
    }
    assert.equal(traced.child.exitCode, null)
    assert.equal(agent.endpoint.events.length, events)
    end('SIGTERM')
    await traced.exited
    await agent.start()
    appendFileSync(agent.logPath, all(events, events + 1))
    await until('what follows', () => missing(agent.endpoint, events + 1).length === 0)
    assert.ok(agent.endpoint.events.length <= events + 101, `${agent.endpoint.events.length} events`)
  })
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}
