/** Real logrotate, in both modes, while lines are written; on the disk that the temporary folder is on. */
import assert from 'node:assert/strict'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { startProcess, until } from '../support/process.ts'
import { agentUnderTest, deliveryLines, missing, uuidOf } from './agent-under-test.ts'

async function rotating(context: TestContext, mode: 'create' | 'copytruncate', directives: string) {
  const agent = await agentUnderTest(context, '--from-beginning')
  const config = join(agent.dir, 'logrotate.conf')
  writeFileSync(
    config,
    `${agent.logPath} {\n  su root root\n  rotate 30\n  missingok\n  ${mode === 'create' ? 'create 0640' : mode}\n  ${directives}\n}\n`,
  )
  // As a logger: one open file, appended to, opened anew when it is told.
  let file = openSync(agent.logPath, 'a')
  let written = 0
  const write = (count: number) => {
    for (let line = 0; line < count; line++) writeSync(file, deliveryLines(written++))
  }
  const rotate = async () => {
    const run = await startProcess('logrotate', ['-f', '-s', join(agent.dir, 'status'), config], { input: '' })
    // Written on until the logger is told.
    while (run.child.exitCode === null && run.child.signalCode === null) {
      write(5)
      await new Promise(resolve => setTimeout(resolve, 3))
    }
    assert.equal((await run.exited).code, 0, run.output.stderr)
    if (mode === 'copytruncate') return
    write(5)
    closeSync(file)
    file = openSync(agent.logPath, 'a')
  }
  context.after(() => closeSync(file))
  return { agent, write, rotate, written: () => written }
}

/** The messages that stand in the files that logrotate left. */
function onDisk(logPath: string, count: number): number[] {
  const text = readdirSync(dirname(logPath))
    .map(name => readFileSync(join(dirname(logPath), name)))
    .map(bytes => (bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString())
    .join('')
  return Array.from({ length: count }, (_, number) => number).filter(
    number => text.includes(`r${number}@example.com>`) && text.includes(uuidOf(number)),
  )
}

for (const directives of ['nocompress', 'compress\n  delaycompress', 'dateext\n  dateformat -%Y%m%d-%s']) {
  test(`logrotate create, ${directives.replaceAll('\n ', ',')}: nothing lost, nothing twice`, async context => {
    const { agent, write, rotate, written } = await rotating(context, 'create', directives)
    let running = await agent.start()
    for (let round = 0; round < 6; round++) {
      write(50)
      if (round === 3) await running.stop()
      await rotate()
      // A name that carries the second serves once a second.
      if (directives.startsWith('dateext')) await new Promise(resolve => setTimeout(resolve, 1050))
      if (round === 4) running = await agent.start()
    }
    write(50)
    await until('all events', () => missing(agent.endpoint, written()).length === 0, 15_000).catch((error: unknown) => {
      throw new Error(`${missing(agent.endpoint, written()).length} of ${written()} are missing`, { cause: error })
    })
    assert.equal(agent.endpoint.events.length, written())
    assert.equal(await agent.metric('agent_log_gap_total'), 0)
  })
}

test('logrotate copytruncate: everything that logrotate left on the disk', async context => {
  const { agent, write, rotate, written } = await rotating(context, 'copytruncate', 'nocompress')
  await agent.start()
  for (let round = 0; round < 8; round++) {
    write(50)
    await rotate()
  }
  write(50)
  const kept = onDisk(agent.logPath, written())
  await until('what is on the disk', () => kept.every(number => agent.endpoint.ledger.has(uuidOf(number))), 30_000)
  context.diagnostic(`logrotate itself lost ${written() - kept.length} of ${written()}`)
})
