/** The wall clock is set while the agent runs. Needs libfaketime. */
import assert from 'node:assert/strict'
import { appendFileSync, globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { processUsage } from '../support/process-usage.ts'
import { startProcess, until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { agentUnderTest, deliveryLines, missing, root } from './agent-under-test.ts'

const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1')
const batchAgeMs = sized(1_000, 5_000)
/** By how much a deadline may be missed: the short form runs beside others, and a clock that is believed costs hours. */
const lateMsMax = sized(20_000, 500)

test(
  'a clock that is set forward or back, in a batch and in a backoff: deadlines hold, nothing spins, nothing is lost',
  { skip: library === undefined && 'no libfaketime' },
  async context => {
    const agent = await agentUnderTest(context)
    const clock = join(agent.dir, 'clock')
    const setClock = (offset: string) => writeFileSync(clock, `${offset}\n`)
    setClock('+0')
    writeFileSync(agent.logPath, '')
    const running = await startProcess(
      'node',
      [
        ...[`${root}cmd/agent.ts`, `--log-path=${agent.logPath}`, `--state-dir=${agent.stateDir}`],
        ...[`--endpoint=${agent.endpoint.url}`, `--metrics-hostport=127.0.0.1:${agent.metricsPort}`],
        ...[`--batch-age=${batchAgeMs}ms`, '--rotate-wait=300ms', '--log-timezone=UTC'],
      ],
      {
        env: {
          SENDPOST_API_KEY: 'test-key',
          LD_PRELOAD: library,
          FAKETIME_TIMESTAMP_FILE: clock,
          FAKETIME_NO_CACHE: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        },
      },
    )
    context.after(() => running.stop())
    await until('the agent to follow its log', () => running.output.stdout.includes('following the log'))
    let written = 0
    for (const offset of ['+3h', '-3h', '-1y', '+0']) {
      // While a batch waits for its age.
      appendFileSync(agent.logPath, deliveryLines(written++))
      const stored = () => agent.metric('agent_events_total{type="delivered"}')
      await until('the event to be stored', async () => (await stored()) === written)
      const waitsFromMs = performance.now()
      setClock(offset)
      await until(`the batch, with ${offset}`, () => missing(agent.endpoint, written).length === 0)
      const waitedMs = performance.now() - waitsFromMs
      assert.ok(waitedMs <= batchAgeMs + lateMsMax, `${Math.round(waitedMs)} ms with ${offset}`)
      // While a refused batch waits for its next try.
      const requests = agent.endpoint.requests.length
      agent.endpoint.answer = () => (agent.endpoint.requests.length === requests + 1 ? { status: 503 } : undefined)
      appendFileSync(agent.logPath, deliveryLines(written++))
      // Told by the clock that was set before.
      await until('the refusal', () => running.output.stdout.split('"upload failed, kept"').length === written / 2 + 1)
      setClock(offset.startsWith('-') ? '+0' : '-2h')
      await until('the next try', () => missing(agent.endpoint, written).length === 0, 2_000 + lateMsMax)
      const [refused, again] = agent.endpoint.requests.slice(requests)
      assert.ok(again!.atMs - refused!.atMs >= 790, 'one second less 20 %')
    }
    const { cpuSeconds } = processUsage(running.pid)!
    await new Promise(resolve => setTimeout(resolve, 2_000))
    const spent = processUsage(running.pid)!.cpuSeconds - cpuSeconds
    assert.ok(spent < 1, `${spent} CPU seconds in two that were idle`)
    assert.equal(agent.endpoint.events.length, written)
    const year = new Date().getUTCFullYear() - 1
    assert.match(running.output.stdout, new RegExp(`"time":"${year}-`), 'the clock was set')
    assert.equal((await running.stop()).code, 0)
  },
)
