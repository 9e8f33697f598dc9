/** The supervisor, with children of the test's own. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { probe } from '../../lib/pipeline/health-probe.ts'
import type { ChildPlan } from '../../lib/pipeline/plan.ts'
import { readRunningState } from '../../lib/pipeline/running-state.ts'
import { Supervisor } from '../../lib/pipeline/supervisor.ts'
import type { ProcessIdentity } from '../../lib/process/process-identity.ts'
import { freePort, until } from '../support/process.ts'

let dir: string
let supervisor: Supervisor | undefined
let said: string[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mta-supervisor-'))
  said = []
  upMsMax = undefined
})
afterEach(async () => {
  await supervisor?.stop()
  supervisor = undefined
  rmSync(dir, { recursive: true, force: true })
})

async function child(name: ChildPlan['name'], state: string): Promise<ChildPlan> {
  const place = name === 'redis' ? join(dir, 'redis.sock') : String(await freePort())
  return {
    name,
    command: process.execPath,
    args: [join(import.meta.dirname, 'pipeline-child.ts'), place, state],
    env: {},
    health: name === 'redis' ? place : `127.0.0.1:${place}`,
    listens: [],
    logFile: join(dir, `${name}.log`),
  }
}

const stateFile = () => join(dir, 'run', 'pipeline.json')
const identity = (name: string) =>
  readRunningState(stateFile())?.children.find(candidate => candidate.name === name)?.identity

let upMsMax: number | undefined

function supervise(...children: ChildPlan[]): Promise<void> {
  supervisor = new Supervisor({
    plan: { children, configFile: '', linkKeysFile: undefined },
    root: dir,
    stateFile: stateFile(),
    report: line => said.push(line),
    ...(upMsMax !== undefined && { upMsMax }),
  })
  return supervisor.start()
}

/** The identity of a child, once it answers that it is starting. */
function answering(plan: ChildPlan): Promise<ProcessIdentity> {
  return until(`the ${plan.name} to answer`, async () => {
    return (await probe(plan)).state === 'starting' && identity(plan.name)
  })
}

test('a child that dies while a later one is still starting is started again', async () => {
  const last = await child('tracker', 'starting')
  const started = supervise(await child('console', 'ok'), last)
  const tracker = await answering(last)
  const first = identity('console')!
  process.kill(first.pid, 'SIGKILL')
  await until('the console to be up again', () => said.includes('console is up again'), 20_000)
  assert.match(said[0]!, /^console ended \(SIGKILL\); starting it again in 1 s/)
  assert.notEqual(identity('console')?.pid, first.pid)
  process.kill(tracker.pid, 'SIGUSR2')
  await started
})

test('a child that works but complains holds up no other', async () => {
  await supervise(await child('wrapper', 'degraded'))
  assert.deepEqual(said, ['wrapper is up, but not all is well: upstream: not yet'])
})

test('a child that can not even be started is named with the reason', async () => {
  const plan = { ...(await child('console', 'ok')), command: join(dir, 'absent') }
  await assert.rejects(supervise(plan), { name: 'ChildFailed', message: /^console could not be started: .*ENOENT/ })
})

test('a reload is kept from a child that is still starting, which it would kill', async () => {
  const plan = await child('tracker', 'starting')
  const started = supervise(plan)
  const tracker = await answering(plan)
  supervisor?.reload()
  process.kill(tracker.pid, 'SIGUSR2')
  await started
  assert.equal(identity('tracker')?.pid, tracker.pid)
})

test('a Redis that loads its data is waited for, however long that takes', async () => {
  upMsMax = 5_000
  const plan = await child('redis', 'starting')
  const started = supervise(plan)
  const redis = await answering(plan)
  await until('its time to have passed', () => said.length > 0, 20_000)
  assert.match(said[0]!, /^redis is not up yet: it is loading its data; log: /)
  process.kill(redis.pid, 'SIGUSR2')
  await started
  assert.equal(identity('redis')?.pid, redis.pid)
})

test('a child that was started again and is long in coming up is waited for', async () => {
  upMsMax = 5_000
  const plan = await child('tracker', 'starting')
  const started = supervise(plan)
  const first = await answering(plan)
  process.kill(first.pid, 'SIGUSR2')
  await started
  process.kill(first.pid, 'SIGKILL')
  const late = () => said.some(line => line.startsWith('tracker is not up after 5 s: start: not yet; log: '))
  await until('its time to have passed', late, 30_000)
  process.kill(identity('tracker')!.pid, 'SIGUSR2')
  await until('it to be up again', () => said.includes('tracker is up again'), 20_000)
})
