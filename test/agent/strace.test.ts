/** Killed at the very system calls that make things last. Needs strace. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { startProcess, until } from '../support/process.ts'
import { agentUnderTest, deliveryLines, missing, root } from './agent-under-test.ts'

const hasStrace = spawnSync('strace', ['-V']).status === 0
// strace counts the calls of each thread, so all file work is done by one: then each of these comes about.
const moments = ['fdatasync:1', 'fdatasync:2', 'rename:1', 'pwrite64:1']

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
        { env: { SENDPOST_API_KEY: 'test-key', UV_THREADPOOL_SIZE: '1' } },
      )
      inner.after(() => victim.stop())
      // What is watched outlives strace when that is killed, and must not outlive the test.
      const late = setTimeout(() => {
        for (const pid of childrenOf(victim.pid)) process.kill(pid, 'SIGKILL')
      }, 10_000)
      const end = await victim.exited
      clearTimeout(late)
      assert.notEqual(end.code, 0, 'it did not end by itself')
      await agent.start()
      await until('all events', () => missing(agent.endpoint, 250).length === 0, 15_000)
      assert.ok(agent.endpoint.events.length <= 350, `${agent.endpoint.events.length} events`)
    })
  }
})

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number)
}
