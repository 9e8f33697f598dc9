/** Killed at the very system calls that make things last. Needs strace. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { startProcess, until } from '../support/process.ts'
import { agentUnderTest, deliveryLines, missing, root } from './agent-under-test.ts'

const hasStrace = spawnSync('strace', ['-V']).status === 0
// Each comes about while it works, so that strace always ends with what it watches.
const moments = ['fdatasync:1', 'fdatasync:3', 'rename:1', 'pwrite64:5']

test('killed at a write, sync or rename: nothing is lost', { skip: !hasStrace && 'no strace' }, async context => {
  for (const moment of moments) {
    await context.test(moment, async inner => {
      const [call, when] = moment.split(':')
      const agent = await agentUnderTest(inner, '--from-beginning')
      writeFileSync(agent.logPath, Array.from({ length: 250 }, (_, number) => deliveryLines(number)).join(''))
      const victim = await startProcess(
        'strace',
        [
          ...['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${when}`],
          ...[process.execPath, `${root}cmd/agent.ts`, '--from-beginning', `--log-path=${agent.logPath}`],
          ...[`--state-dir=${agent.stateDir}`, `--endpoint=${agent.endpoint.url}`, '--batch-age=50ms'],
          ...['--metrics-hostport=127.0.0.1:0', '--log-timezone=UTC'],
        ],
        { env: { SENDPOST_API_KEY: 'test-key' } },
      )
      inner.after(() => victim.stop())
      const timer = setTimeout(() => victim.kill('SIGTERM'), 6_000)
      await victim.exited
      clearTimeout(timer)
      await agent.start()
      await until('all events', () => missing(agent.endpoint, 250).length === 0, 15_000)
      assert.ok(agent.endpoint.events.length <= 350, `${agent.endpoint.events.length} events`)
    })
  }
})
