/** Several trackers on one port. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { newMessageId } from '../../lib/record/message-id.ts'
import { until } from '../support/process.ts'
import { queuedEngagements } from '../support/queued-events.ts'
import { startRedis } from '../support/redis.ts'
import { startTracker } from '../support/tracker.ts'

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
}

const isAlive = (pid: number) => {
  try {
    // A process that has ended but was not waited for is a zombie, not alive.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test('two processes share the port; one that is killed comes back; both end together', async () => {
  const redis = await startRedis()
  const tracker = await startTracker({ redisUrl: redis.url, args: ['--processes', '2'] })
  const clicked: string[] = []
  const click = async () => {
    const messageId = newMessageId(Date.now() - 3_600_000)
    const path = tracker.path({ messageId, url: 'https://example.com/' })
    const answer = await fetch(tracker.url + path, { redirect: 'manual', headers: { Connection: 'close' } })
    assert.equal(answer.status, 302)
    clicked.push(messageId)
  }
  try {
    const listening = () => tracker.process.output.stdout.split('"msg":"listening"').length - 1
    await until('both to listen', () => listening() === 2, 20_000)
    for (let n = 0; n < 40; n++) await click()
    // While the first stands still, the second answers what the kernel gives to it: half of them, more or less.
    tracker.process.kill('SIGSTOP')
    const both = Array.from({ length: 20 }, click)
    await Promise.any(both)
    tracker.process.kill('SIGCONT')
    await Promise.all(both)
    assert.equal(await tracker.metric('tracker_events_total{type="click"}'), 60)
    const [sibling] = childrenOf(tracker.process.pid)
    process.kill(sibling!, 'SIGKILL')
    await until('the first to say so', async () => {
      const health = await fetch(`http://127.0.0.1:${tracker.metricsPort}/health`)
      return (await health.text()).includes('1 of 2 processes')
    })
    await until('the second to come back', () => listening() === 3, 20_000)
    for (let n = 0; n < 20; n++) await click()
    const [again] = childrenOf(tracker.process.pid)
    assert.notEqual(again, sibling)
    tracker.process.kill('SIGTERM')
    assert.deepEqual(await tracker.process.exited, { code: 0, signal: null })
    assert.equal(isAlive(again!), false)
    const found = new Set((await queuedEngagements(redis.client)).map(event => event.messageId))
    assert.deepEqual(
      clicked.filter(id => !found.has(id)),
      [],
    )
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})

test('the others end when the first is killed', async () => {
  const redis = await startRedis()
  const tracker = await startTracker({ redisUrl: redis.url, args: ['--processes', '2'] })
  try {
    const [sibling] = await until('the second to start', () => {
      const children = childrenOf(tracker.process.pid)
      return children.length === 1 && children
    })
    await until('both to listen', () => tracker.process.output.stdout.split('"msg":"listening"').length === 3, 20_000)
    tracker.process.kill('SIGKILL')
    await until('the second to end', () => !isAlive(sibling!), 15_000)
  } finally {
    await tracker.stop()
    await redis.stop()
  }
})
