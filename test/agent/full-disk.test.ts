/** The agent whose state lies on a disk that is full to its last byte, or fails. */
import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sized } from '../support/soak.ts'
import { until } from '../support/process.ts'
import { smallDisk } from '../support/small-disk.ts'
import { agentUnderTest, deliveryLines, missing } from './agent-under-test.ts'

const all = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => deliveryLines(from + index)).join('')

for (const kind of ['tmpfs', 'ext4'] as const) {
  test(`0 bytes free on ${kind}: pending events go out, kill -9 repeats one batch at most, and it goes on when there is room`, async context => {
    const disk = smallDisk(kind, 4 << 20)
    if (typeof disk === 'string') {
      context.skip(disk)
      return
    }
    const agent = await agentUnderTest(context, '--from-beginning', `--state-dir=${join(disk.dir, 'state')}`)
    let isEating = false
    // What comes back is taken at once, as by another program.
    const eater = setInterval(() => isEating && disk.fill(), 5)
    context.after(() => {
      clearInterval(eater)
      disk.unmount()
    })
    let isAway = true
    agent.endpoint.answer = () => (isAway ? { status: 503 } : undefined)
    writeFileSync(agent.logPath, '')
    const first = await agent.start()
    disk.fill(300_000)
    appendFileSync(agent.logPath, all(0, 2_000))
    const reason = await until('reading to stop', async () => (await agent.health()).reasons['backpressure'])
    assert.match(reason, /no space left on the disk: reading the log has stopped until events are uploaded/)
    disk.fill()
    isEating = true
    isAway = false
    const taken = await until(
      'all that is pending to be sent',
      async () => (await agent.metric('agent_wal_bytes')) <= 2 << 20 && (await isQuiet(agent.endpoint.events)),
    )
    assert.ok(taken > 500, `${taken} events`)
    assert.equal(first.child.exitCode, null)
    first.kill('SIGKILL')
    await first.exited
    await agent.start()
    await until('it to have tried', async () => (await agent.health()).reasons['backpressure'])
    const repeats = agent.endpoint.events.length - agent.endpoint.ledger.size
    assert.ok(repeats <= 100, `${repeats} events were repeated`)
    isEating = false
    const freedMs = performance.now()
    const before = agent.endpoint.ledger.size
    disk.free()
    await until('new events', () => agent.endpoint.ledger.size > before)
    assert.ok(performance.now() - freedMs < sized(25_000, 5_000), 'it goes on soon')
    await until('all events', () => missing(agent.endpoint, 2_000).length === 0, 20_000)
    await until('health', async () => (await agent.health()).status === 'ok')
    assert.ok(agent.endpoint.events.length - agent.endpoint.ledger.size <= 100)
  })
}

/** How many there are, once no more came for a while. */
async function isQuiet(events: readonly unknown[]): Promise<number | undefined> {
  const before = events.length
  await new Promise(resolve => setTimeout(resolve, 1_500))
  return events.length === before ? before : undefined
}
