/** The agent is killed at any moment, its state damaged: every event arrives, repeats are few. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { agentUnderTest, deliveryLines, missing } from './agent-under-test.ts'

const all = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => deliveryLines(from + index)).join('')

test('killed while it reads and uploads: nothing lost, at most a batch repeated per kill', async context => {
  const agent = await agentUnderTest(context, '--from-beginning')
  const kills = sized(8, 1_000)
  let written = 0
  writeFileSync(agent.logPath, '')
  const writer = setInterval(() => {
    // On a slow machine the kills take longer than the writing should.
    if (written >= 500 * kills) return
    appendFileSync(agent.logPath, all(written, written + 5))
    written += 5
  }, 20)
  context.after(() => clearInterval(writer))
  for (let kill = 0; kill < kills; kill++) {
    const running = await agent.start()
    // Anywhere between its first lines and its first batches.
    const before = agent.endpoint.events.length
    if (kill % 3 !== 0) await until('an event', () => agent.endpoint.events.length > before, 20_000)
    await new Promise(resolve => setTimeout(resolve, (kill * 37) % 150))
    running.kill('SIGKILL')
    await running.exited
    if (kill % 4 === 3) {
      // Rotated while it is down.
      for (let number = kills; number > 0; number--) {
        if (existsSync(`${agent.logPath}.${number}`))
          renameSync(`${agent.logPath}.${number}`, `${agent.logPath}.${number + 1}`)
      }
      renameSync(agent.logPath, `${agent.logPath}.1`)
      writeFileSync(agent.logPath, '')
    }
  }
  clearInterval(writer)
  await agent.start()
  // At the very first start the log was empty: everything counts.
  await until('all events', () => missing(agent.endpoint, written).length === 0, 60_000).catch((error: unknown) => {
    throw new Error(
      `${missing(agent.endpoint, written).length} of ${written} are missing: ${missing(agent.endpoint, written).slice(0, 20).join(' ')} …`,
      { cause: error },
    )
  })
  const repeats = agent.endpoint.events.length - written
  assert.ok(repeats <= 100 * kills, `${repeats} repeats in ${kills} kills`)
  assert.deepEqual(agent.endpoint.flaws, [])
})

const damages: Record<string, (path: string) => void> = {
  emptied: path => truncateSync(path),
  'filled with NULs': path => writeFileSync(path, Buffer.alloc(statSync(path).size)),
  halved: path => truncateSync(path, statSync(path).size >> 1),
  'with a flipped bit': path => {
    const bytes = readFileSync(path)
    if (bytes.length > 0) bytes[bytes.length >> 1]! ^= 4
    writeFileSync(path, bytes)
  },
  removed: path => rmSync(path, { force: true }),
}

for (const [how, damage] of Object.entries(damages)) {
  test(`state files ${how}: it starts, nothing is lost`, async context => {
    const agent = await agentUnderTest(context)
    agent.endpoint.answer = () => ({ status: 503 })
    const first = await agent.start()
    writeFileSync(agent.logPath, all(0, 50))
    await until('the events to be taken over', async () => (await agent.metric('agent_lag_bytes')) === 0)
    await first.stop()
    appendFileSync(agent.logPath, all(50, 60))
    const names = ['cursor', 'queue-ids', ...readdirSync(join(agent.stateDir, 'pending.wal')).filter(isSegment)]
    for (const name of names) {
      damage(join(agent.stateDir, isSegment(name) ? 'pending.wal' : '', name))
    }
    agent.endpoint.answer = () => undefined
    // Without any trace of an earlier run it can't know that there was one.
    await agent.start(...(how === 'removed' ? ['--from-beginning'] : []))
    await until('all events', () => missing(agent.endpoint, 60).length === 0, 15_000)
  })
}

function isSegment(name: string): boolean {
  return name !== 'lock' && name !== 'released' && name !== 'cursor' && name !== 'queue-ids'
}
