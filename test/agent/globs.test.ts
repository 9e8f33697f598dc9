/** Several logs, named and by globs; and who may ask how the agent is. */
import assert from 'node:assert/strict'
import { appendFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { networkInterfaces } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { SlotFile } from '../../lib/durable/slot-file.ts'
import { until } from '../support/process.ts'
import { agentUnderTest, deliveryLines, missing } from './agent-under-test.ts'

const all = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => deliveryLines(from + index)).join('')

test('a file and a glob: each is followed through its own rotations, and one that appears is read whole', async context => {
  const agent = await agentUnderTest(context)
  const dir = dirname(agent.logPath)
  const log = (name: string) => join(dir, `${name}.log`)
  const paths = `--log-path=${log('named')},${join(dir, 'mx*.log')}`
  writeFileSync(log('named'), '')
  writeFileSync(log('mx1'), '')
  const first = await agent.start(paths)
  appendFileSync(log('named'), all(0, 5))
  appendFileSync(log('mx1'), all(5, 10))
  await until('both logs', () => missing(agent.endpoint, 10).length === 0)
  renameSync(log('mx1'), `${log('mx1')}.1`)
  writeFileSync(log('mx1'), all(10, 15))
  // Its name matches the glob as well.
  renameSync(log('named'), join(dir, 'mx1-20261121.log'))
  writeFileSync(log('named'), all(15, 20))
  writeFileSync(log('mx2'), all(20, 25))
  await until('the log that appeared', () => missing(agent.endpoint, 25).length === 0, 20_000)
  await first.stop()
  for (const [index, name] of ['named', 'mx1', 'mx2'].entries())
    appendFileSync(log(name), all(25 + 5 * index, 30 + 5 * index))
  const second = await agent.start(paths)
  await until('all', () => missing(agent.endpoint, 40).length === 0)
  assert.equal(agent.endpoint.events.length, 40)
  second.kill('SIGKILL')
  await second.exited
  await agent.start(paths)
  appendFileSync(log('mx2'), all(40, 41))
  await until('the last', () => missing(agent.endpoint, 41).length === 0)
  // The kill may have come between the last request and its release.
  assert.ok(agent.endpoint.events.length <= 41 + 15, `${agent.endpoint.events.length} events`)
})

test('a log that a glob named: its rotations are no logs while it is away, and when all is gone it is forgotten', async context => {
  const agent = await agentUnderTest(context)
  const dir = dirname(agent.logPath)
  const paths = `--log-path=${join(dir, '*.log')}`
  const [log, rotated] = [join(dir, 'acct.log'), join(dir, 'acct-20261121.log')]
  writeFileSync(log, '')
  const running = await agent.start(paths)
  appendFileSync(log, all(0, 5))
  await until('the events', () => missing(agent.endpoint, 5).length === 0)
  renameSync(log, rotated)
  // At a start as well.
  await running.stop()
  const again = await agent.start(paths)
  writeFileSync(join(dir, 'other.log'), all(5, 10))
  await until('the log that appeared', () => missing(agent.endpoint, 10).length === 0, 20_000)
  assert.equal(agent.endpoint.events.length, 10)
  writeFileSync(log, all(10, 15))
  await until('the log that came back', () => missing(agent.endpoint, 15).length === 0, 20_000)
  assert.equal(agent.endpoint.events.length, 15)
  // Its last line has no end, and never gets one.
  const lines = all(15, 16)
  appendFileSync(log, lines.slice(0, lines.lastIndexOf('\n', lines.length - 2)))
  await until('what has an end to be read', async () => {
    const lag = await agent.metric('agent_lag_bytes')
    return lag > 0 && lag < 300
  })
  rmSync(log)
  rmSync(rotated)
  await until('it to be forgotten', () => again.output.stdout.includes('it is followed no more'), 40_000)
  await until('its last event', () => missing(agent.endpoint, 16).length === 0)
  await until('health', async () => (await agent.health()).status === 'ok')
  await again.stop()
  const cursor = await SlotFile.open(join(agent.stateDir, 'cursor'), 0)
  const logs = cursor.value?.toString() ?? ''
  assert.ok(logs.includes('/other.log') && !logs.includes('/acct.log'), logs)
  await cursor.close()
})

test('a log that comes under a glob while the agent is down is new, one that was there before it is not', async context => {
  const agent = await agentUnderTest(context)
  const dir = dirname(agent.logPath)
  const log = (name: string) => join(dir, `${name}.log`)
  writeFileSync(log('old'), all(20, 21))
  // Born when it was read last, give or take two looks, it would be new.
  const { birthtimeMs } = statSync(log('old'))
  await until('it to be old', () => Date.now() - birthtimeMs > 11_000, 20_000)
  writeFileSync(log('mx1'), '')
  const first = await agent.start(`--log-path=${join(dir, 'mx*.log')}`)
  appendFileSync(log('mx1'), all(0, 5))
  await until('the events', () => missing(agent.endpoint, 5).length === 0)
  await first.stop()
  writeFileSync(log('mx2'), all(5, 10))
  const second = await agent.start(`--log-path=${join(dir, '*.log')}`)
  second.kill('SIGKILL')
  await second.exited
  appendFileSync(log('old'), all(10, 11))
  await agent.start(`--log-path=${join(dir, '*.log')}`)
  await until('the log that appeared', () => missing(agent.endpoint, 11).length === 0)
  assert.equal(missing(agent.endpoint, 21).length, 10)
})

test('a glob that nothing matches yet: the agent waits and says so', async context => {
  const agent = await agentUnderTest(context)
  const running = await agent.start(`--log-path=${join(dirname(agent.logPath), 'm*.log')}`)
  const reason = await until('health', async () => (await agent.health()).reasons['log-path'])
  assert.match(reason, /no file matches .*m\*\.log: check --log-path/)
  writeFileSync(agent.logPath, all(0, 3))
  await until('the events', () => missing(agent.endpoint, 3).length === 0, 20_000)
  assert.equal((await agent.health()).status, 'ok')
  assert.equal(running.child.exitCode, null)
})

test('health and metrics are for this machine, under its own names', async context => {
  const agent = await agentUnderTest(context)
  await agent.start()
  const ask = (host: string, headers: Record<string, string> = {}) =>
    new Promise<number | string | undefined>(resolve => {
      get({ host, port: agent.metricsPort, path: '/health', headers }, answer => {
        answer.resume()
        resolve(answer.statusCode)
      }).once('error', error => resolve((error as NodeJS.ErrnoException).code))
    })
  assert.equal(await ask('127.0.0.1', { host: 'attacker.example' }), 403)
  assert.equal(await ask('127.0.0.1', { host: `localhost:${agent.metricsPort}` }), await ask('127.0.0.1'))
  const others = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  for (const { address, family, internal } of others) {
    if (!internal && family === 'IPv4') assert.equal(await ask(address), 'ECONNREFUSED', address)
  }
})
