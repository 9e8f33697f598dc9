/** The agent is killed at any moment, its state damaged: every event arrives, repeats are few. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProcess, until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { agentUnderTest, deliveryLines, missing, root } from './agent-under-test.ts'

const all = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => deliveryLines(from + index)).join('')

test('killed while it starts, reads and uploads: nothing lost, at most a batch repeated per kill', async context => {
  const [lanes, kills] = [sized(1, 3), sized(8, 340)]
  const done = await Promise.all(Array.from({ length: lanes }, () => killed(context, kills)))
  const sum = (of: 'written' | 'repeated') => done.reduce((total, lane) => total + lane[of], 0)
  const [written, repeated] = [sum('written'), sum('repeated')]
  context.diagnostic(`${lanes * kills} kills: 0 of ${written} events lost, ${repeated} repeated`)
})

const eventsPerKill = 200
/** A part of a second: the same in every run of the short form. */
const someMs = (kill: number, msMax: number) => sized((kill * 37) % msMax, Math.random() * msMax)

async function killed(context: TestContext, kills: number): Promise<{ written: number; repeated: number }> {
  const agent = await agentUnderTest(context, '--from-beginning')
  let [written, kill] = [0, 0]
  writeFileSync(agent.logPath, '')
  const writer = setInterval(() => {
    // On a slow machine the kills take longer than the writing should.
    if (written >= eventsPerKill * Math.min(kill + 1, kills)) return
    appendFileSync(agent.logPath, all(written, written + 5))
    written += 5
  }, 20)
  context.after(() => clearInterval(writer))
  for (; kill < kills; kill++) {
    // Now and then it ends as it should: only then what it knows of queue ids is saved so early in its life.
    if (kill % 25 === 24) await (await agent.start()).stop()
    const running = kill % 4 === 2 ? await agent.spawn() : await agent.start()
    const before = agent.endpoint.events.length
    // Anywhere in its start, between its first lines, and between its batches.
    if (kill % 4 === 2) await sleep(someMs(kill, sized(400, 1_000)))
    else if (kill % 4 !== 0) await until('an event', () => agent.endpoint.events.length > before, sized(20_000, 60_000))
    await sleep(someMs(kill, 150))
    running.kill('SIGKILL')
    await running.exited
    if (kill % 4 === 3) rotate(agent.logPath, kills)
    if (kill % 50 === 49) console.error(`${kill + 1} kills, ${written} events`)
  }
  clearInterval(writer)
  await agent.start()
  // At the very first start the log was empty: everything counts.
  await until('all events', () => missing(agent.endpoint, written).length === 0, sized(60_000, 300_000), 200).catch(
    (error: unknown) => {
      throw new Error(
        `${missing(agent.endpoint, written).length} of ${written} are missing: ${missing(agent.endpoint, written).slice(0, 20).join(' ')} …`,
        { cause: error },
      )
    },
  )
  const repeated = agent.endpoint.events.length - written
  assert.ok(repeated <= 100 * kills, `${repeated} repeats in ${kills} kills`)
  assert.deepEqual(agent.endpoint.flaws, [])
  return { written, repeated }
}

/** As logrotate does with `create`. */
function rotate(logPath: string, kept: number): void {
  for (let number = kept; number > 0; number--) {
    if (existsSync(`${logPath}.${number}`)) renameSync(`${logPath}.${number}`, `${logPath}.${number + 1}`)
  }
  renameSync(logPath, `${logPath}.1`)
  writeFileSync(logPath, '')
}

const damages: Record<string, (path: string) => void> = {
  emptied: path => truncateSync(path),
  'filled with NULs': path => writeFileSync(path, Buffer.alloc(statSync(path).size)),
  halved: path => truncateSync(path, statSync(path).size >> 1),
  'ending in NULs': path => {
    const bytes = readFileSync(path)
    writeFileSync(path, bytes.fill(0, bytes.length >> 1))
  },
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

const kindsOfFile: Record<string, (name: string) => boolean> = {
  'pending events': isSegment,
  'the cursor': name => name === 'cursor',
  'the queue ids': name => name === 'queue-ids',
}
const damagesOfOne = sized(2, Object.keys(damages).length)

for (const [what, isMeant] of Object.entries(kindsOfFile)) {
  for (const [how, damage] of Object.entries(damages).toReversed().slice(-damagesOfOne)) {
    test(`${what} ${how}, the rest unharmed: nothing is lost, what was sent is repeated only for want of a cursor`, async context => {
      const agent = await agentUnderTest(context)
      const first = await agent.start()
      writeFileSync(agent.logPath, all(0, 20))
      await until('the first events', () => missing(agent.endpoint, 20).length === 0)
      agent.endpoint.answer = () => ({ status: 503 })
      for (let from = 20; from < 60; from += 10) {
        appendFileSync(agent.logPath, all(from, from + 10))
        const stored = () => agent.metric('agent_events_total{type="delivered"}')
        await until('the events to be taken over', async () => (await stored()) === from + 10)
      }
      await first.stop()
      appendFileSync(agent.logPath, all(60, 70))
      for (const name of [...readdirSync(agent.stateDir), ...readdirSync(join(agent.stateDir, 'pending.wal'))]) {
        const path = join(agent.stateDir, isSegment(name) ? 'pending.wal' : '', name)
        if (isMeant(name) && statSync(path).isFile()) damage(path)
      }
      agent.endpoint.answer = () => undefined
      await agent.start()
      await until('all events', () => missing(agent.endpoint, 70).length === 0, 15_000)
      if (what === 'the cursor') return
      assert.deepEqual(
        [...agent.endpoint.ledger.values()].filter(count => count > 1),
        [],
      )
      // An agent that was killed in its first minute has written no queue ids down either.
      const isUnnoticed = what === 'the queue ids' && how === 'removed'
      assert.equal((await agent.health()).status, isUnnoticed ? 'ok' : 'degraded')
    })
  }
}

test('state files that nobody may read any more (chmod 000): it starts, nothing is lost or repeated', async context => {
  // Root may read everything.
  const user = process.getuid?.() === 0 ? ['--reuid=65534', '--regid=65534', '--clear-groups'] : []
  const agent = await agentUnderTest(context)
  const start = () =>
    startProcess(
      'setpriv',
      [
        ...user,
        ...[process.execPath, `${root}cmd/agent.ts`, `--log-path=${agent.logPath}`, `--state-dir=${agent.stateDir}`],
        ...[`--endpoint=${agent.endpoint.url}`, `--metrics-hostport=127.0.0.1:${agent.metricsPort}`],
        ...['--batch-age=200ms', '--log-timezone=UTC'],
      ],
      { env: { SENDPOST_API_KEY: 'test-key' } },
    )
  mkdirSync(agent.stateDir)
  for (const path of [agent.dir, agent.stateDir]) if (user.length > 0) chownSync(path, 65_534, 65_534)
  writeFileSync(agent.logPath, '')
  const first = await start()
  context.after(() => first.stop())
  await until('it to follow its log', () => first.output.stdout.includes('following the log'))
  appendFileSync(agent.logPath, all(0, 20))
  await until('the first events', () => missing(agent.endpoint, 20).length === 0)
  agent.endpoint.answer = () => ({ status: 503 })
  appendFileSync(agent.logPath, all(20, 40))
  await until('the rest', async () => (await agent.metric('agent_events_total{type="delivered"}')) === 40)
  await first.stop()
  const files = globSync(join(agent.stateDir, '{*,pending.wal/*}')).filter(path => lstatSync(path).isFile())
  assert.ok(files.length >= 4, files.join(' '))
  for (const path of files) chmodSync(path, 0)
  agent.endpoint.answer = () => undefined
  const second = await start()
  context.after(() => second.stop())
  await until('all events', () => missing(agent.endpoint, 40).length === 0)
  assert.deepEqual(
    [...agent.endpoint.ledger.values()].filter(count => count > 1),
    [],
  )
  assert.equal((await agent.health()).status, 'ok')
})

function isSegment(name: string): boolean {
  return name.endsWith('.segment')
}
