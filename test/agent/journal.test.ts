/** The journal, through a journalctl of the test's own that knows --after-cursor as the real one does. */
import assert from 'node:assert/strict'
import { appendFileSync, chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { until } from '../support/process.ts'
import { agentUnderTest, deliveryLines, missing } from './agent-under-test.ts'

/** Prints the records behind the cursor, then those that come; ends when its folder holds a file `end`. */
const journalctl = `#!/usr/bin/env python3
import json, os, sys, time
here = os.path.dirname(sys.argv[0])
after = next((w.split('=', 1)[1] for w in sys.argv if w.startswith('--after-cursor=')), None)
assert '--no-tail' in sys.argv and '-f' in sys.argv and 'SYSLOG_FACILITY=2' in sys.argv
open(here + '/starts', 'a').write(repr(after) + '\\n')
since = next((float(w.split('=@', 1)[1]) for w in sys.argv if w.startswith('--since=@')), 0)
behind = after is None
if after and after not in open(here + '/journal').read():
    sys.exit('Failed to seek to cursor: Invalid argument')
file = open(here + '/journal')
while True:
    line = file.readline()
    if line == '':
        if os.path.exists(here + '/end'):
            os.unlink(here + '/end')
            sys.exit(1)
        time.sleep(0.02)
        continue
    if behind:
        if after is not None or int(json.loads(line)['__REALTIME_TIMESTAMP']) >= since * 1e6:
            sys.stdout.write(line)
            sys.stdout.flush()
    elif json.loads(line)['__CURSOR'] == after:
        behind = True
`

async function withJournal(context: TestContext) {
  const agent = await agentUnderTest(context, '--log-path=journald')
  const bin = join(agent.dir, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'journalctl'), journalctl)
  chmodSync(join(bin, 'journalctl'), 0o755)
  const journal = join(bin, 'journal')
  writeFileSync(journal, '')
  const path = process.env['PATH']
  process.env['PATH'] = `${bin}:${path}`
  context.after(() => (process.env['PATH'] = path))
  let record = 0
  return {
    agent,
    journal,
    endJournalctl: () => writeFileSync(join(bin, 'end'), ''),
    /**
     * @param aheadMs how far the journal's clock is ahead
     * @param part which of the lines
     */
    write: (number: number, aheadMs = 0, part: readonly [from: number, to?: number] = [0]) => {
      for (const line of deliveryLines(number)
        .trimEnd()
        .split('\n')
        .slice(...part)) {
        const us = String((Date.now() + aheadMs) * 1000 + ++record)
        const MESSAGE = line.slice(line.indexOf(']: ') + 3)
        appendFileSync(
          journal,
          `${JSON.stringify({ MESSAGE, _HOSTNAME: 'mx1', __CURSOR: `s=1;i=${record};`, __REALTIME_TIMESTAMP: us })}\n`,
        )
      }
    },
  }
}

test('the agent follows the journal from its own cursor, over restarts of journalctl and of itself', async context => {
  const { agent, journal, write, endJournalctl } = await withJournal(context)
  let running = await agent.start()
  for (let number = 0; number < 5; number++) write(number)
  await until('five events', () => missing(agent.endpoint, 5).length === 0)
  endJournalctl()
  for (let number = 5; number < 10; number++) write(number)
  await until('ten events', () => missing(agent.endpoint, 10).length === 0)
  await running.stop()
  for (let number = 10; number < 15; number++) write(number)
  running = await agent.start()
  await until('fifteen events', () => missing(agent.endpoint, 15).length === 0)
  assert.equal(agent.endpoint.events.length, 15)
  appendFileSync(
    journal,
    `${JSON.stringify({ MESSAGE: 'Suppressed 7 messages', MESSAGE_ID: 'a596d6fe7bfa4994828e72309e95d61e', N_DROPPED: '7', __CURSOR: 's=1;i=x', __REALTIME_TIMESTAMP: '1' })}\n`,
  )
  await until('health', async () => (await agent.health()).reasons['suppressed'])
  assert.equal(await agent.metric('agent_suppressed_lines_total'), 7)
})

test('the journal after a clock was set back, and a kill: what came after the last cursor is new, whatever its time', async context => {
  const { agent, write } = await withJournal(context)
  const first = await agent.start()
  // Stopped once in between, so that the queue ids are saved there and the journal is read again from there.
  for (let number = 0; number < 3; number++) write(number, 3_600_000)
  await until('three events', () => missing(agent.endpoint, 3).length === 0)
  await first.stop()
  const second = await agent.start()
  for (let number = 3; number < 6; number++) write(number, 3_600_000)
  await until('six events', () => missing(agent.endpoint, 6).length === 0)
  second.kill('SIGKILL')
  await second.exited
  for (let number = 6; number < 9; number++) write(number)
  await agent.start()
  await until('nine events', () => missing(agent.endpoint, 9).length === 0)
  assert.ok(agent.endpoint.events.length <= 12, `${agent.endpoint.events.length} events`)
})

test('a journal that does not know the cursor any more is read by time, which is a gap', async context => {
  const { agent, journal, write } = await withJournal(context)
  const first = await agent.start()
  for (let number = 0; number < 3; number++) write(number)
  await until('three events', () => missing(agent.endpoint, 3).length === 0)
  await first.stop()
  writeFileSync(journal, '')
  for (let number = 3; number < 6; number++) write(number)
  await agent.start()
  await until('six events', () => missing(agent.endpoint, 6).length === 0)
  assert.equal(agent.endpoint.events.length, 6)
  assert.match((await agent.health()).reasons['gap'] ?? '', /does not know the place/)
  assert.equal((await agent.health()).reasons['log'], undefined)
})

test('a kill before the queue ids were saved: messages under way are known, and nothing is reported anew, whatever the clock was', async context => {
  const { agent, write } = await withJournal(context)
  const first = await agent.start()
  write(11, 0, [0, 2])
  for (let number = 0; number < 10; number++) write(number, 3_600_000)
  await until('ten events', () => missing(agent.endpoint, 10).length === 0)
  write(10)
  await until('one more', () => missing(agent.endpoint, 11).length === 0)
  // The ten were let go of before the one was sent.
  first.kill('SIGKILL')
  await first.exited
  write(11, 0, [2])
  await agent.start()
  await until('all events', () => missing(agent.endpoint, 12).length === 0)
  assert.ok(agent.endpoint.events.length <= 13, `${agent.endpoint.events.length} events`)
})
