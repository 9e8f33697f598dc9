/** `./start.sh` with a configuration of the test's own: free ports, own state folder. */
import assert from 'node:assert/strict'
import { linkSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { request } from 'undici'
import type { RunningState } from '../../lib/pipeline/running-state.ts'
import { isAlive, type ProcessIdentity } from '../../lib/process/process-identity.ts'
import { TestPipeline, type StartResult } from '../support/pipeline.ts'
import { until } from '../support/process.ts'
import { smallDisk } from '../support/small-disk.ts'

let pipeline: TestPipeline

before(async () => {
  pipeline = await TestPipeline.make()
})

after(() => pipeline.close())

function start(...words: string[]): StartResult {
  return pipeline.start(...words)
}

function state(): RunningState {
  const found = pipeline.state()
  assert.ok(found, 'a supervisor is recorded')
  return found
}

/** The processes that a supervisor has running. */
function childrenOf({ children }: RunningState): readonly ProcessIdentity[] {
  return children.map(({ identity }) => identity).filter(identity => identity !== undefined)
}

function pidOf(name: string): number | undefined {
  return pipeline.running().get(name)
}

test('start --detach brings everything up; again, it starts nothing twice', () => {
  const first = start('--detach')
  assert.equal(first.status, 0, first.stdout + first.stderr)
  for (const name of ['redis', 'console', 'tracker', 'feeder', 'wrapper'])
    assert.match(first.stdout, new RegExp(`${name} +ok`))
  assert.ok(first.stdout.includes(pipeline.trackerUrl))
  const call = `./start.sh --config ${pipeline.config} --state-dir ${pipeline.stateDir}`
  assert.ok(first.stdout.includes(`${call} sample`), 'what is proposed is meant for this pipeline')
  const before = state()
  const second = start('--detach')
  assert.equal(second.status, 0)
  assert.match(second.stdout, /running already/)
  assert.deepEqual(state(), before)
  assert.equal(start('status').status, 0)
})

test('sample sends a mail that arrives', async () => {
  start('--detach')
  const sample = start('sample')
  assert.equal(sample.status, 0, sample.stdout + sample.stderr)
  await until('the sample to arrive', async () => {
    const answer = await request(`${pipeline.consoleUrl}/api/mailbox`)
    return ((await answer.body.json()) as unknown[]).length > 0
  })
})

test('a child that dies is reported and started again', async () => {
  start('--detach')
  const tracker = pidOf('tracker')!
  process.kill(tracker, 'SIGKILL')
  await until(
    'the tracker to be up again',
    () => start('status').status === 0 && pidOf('tracker') !== tracker,
    30_000,
    100,
  )
  assert.match(
    readFileSync(join(pipeline.stateDir, 'log', 'pipeline.log'), 'utf8'),
    /tracker ended \(SIGKILL\).*starting it again in 1 s/,
  )
})

test('children of a killed supervisor are replaced, not doubled', async () => {
  start('--detach')
  const before = state()
  process.kill(before.supervisor.pid, 'SIGKILL')
  await until('the supervisor to be gone', () => !isAlive(before.supervisor))
  assert.equal(start('status').status, 3)
  const again = start('--detach')
  assert.equal(again.status, 0, again.stdout + again.stderr)
  for (const child of childrenOf(before)) assert.ok(!isAlive(child))
})

test('stop ends every process, and cron then leaves it stopped', () => {
  start('--detach')
  const before = state()
  const stop = start('stop')
  assert.equal(stop.status, 0, stop.stdout + stop.stderr)
  for (const process of [before.supervisor, ...childrenOf(before)]) assert.ok(!isAlive(process))
  assert.equal(start('status').status, 3)
  assert.equal(start('--detach', '--unless-stopped').status, 0)
  assert.equal(start('status').status, 3)
})

test('stop ends every process also where it can not be noted for cron', () => {
  start('--detach')
  const before = state()
  const mark = join(pipeline.stateDir, 'run', 'stopped')
  mkdirSync(mark)
  const stop = start('stop')
  rmdirSync(mark)
  assert.equal(stop.status, 0, stop.stdout + stop.stderr)
  assert.match(stop.stderr, /^start\.sh: .*EISDIR.*--unless-stopped will start it again\n$/)
  for (const process of [before.supervisor, ...childrenOf(before)]) assert.ok(!isAlive(process))
})

test('the mark of a stop is made anew, for root may have made the one that is there', () => {
  const mark = join(pipeline.stateDir, 'run', 'stopped')
  start('stop')
  // Keeps its number from being given to the next.
  linkSync(mark, `${mark}.before`)
  const stop = start('stop')
  const [before, now] = [statSync(`${mark}.before`).ino, statSync(mark).ino]
  rmSync(`${mark}.before`)
  assert.equal(stop.status, 0, stop.stderr)
  assert.notEqual(now, before)
})

test('a full disk is named in one sentence', t => {
  const disk = smallDisk('tmpfs', 1 << 20)
  if (typeof disk === 'string') {
    t.skip(disk)
    return
  }
  t.after(() => disk.unmount())
  disk.fill()
  for (const words of [[], ['--detach']]) {
    const { status, stderr } = start('--state-dir', join(disk.dir, 'state'), ...words)
    assert.equal(status, 1, stderr)
    assert.match(stderr, /^start\.sh: .*\bENOSPC\b.*\n$/)
  }
})

test('a state folder that can not be made is named, with the way out', () => {
  // Where not even root may make one.
  const { status, stderr } = start('--state-dir', '/sys/mta-tracking')
  assert.equal(status, 1)
  assert.match(stderr, /^start\.sh: \/sys\/mta-tracking can't be (?:used|written) \(E\w+\): [^\n]*--state-dir\n$/)
})

test('in the foreground SIGTERM ends it well', async () => {
  start('stop')
  const foreground = await pipeline.begin()
  await until('all to be up', () => foreground.output.stdout.includes('Try next'), 60_000)
  const before = state()
  foreground.kill('SIGTERM')
  assert.deepEqual(await foreground.exited, { code: 0, signal: null })
  for (const child of childrenOf(before)) assert.ok(!isAlive(child))
})

test('a port in use is named, and nothing is left running', async () => {
  start('stop')
  const { port, host } = new URL(pipeline.trackerUrl)
  const intruder = createServer().listen(Number(port), '127.0.0.1')
  await new Promise(resolve => intruder.once('listening', resolve))
  const failed = start('--detach')
  intruder.close()
  assert.equal(failed.status, 1)
  assert.ok(failed.stderr.includes(`tracker could not be started: ${host} is in use`), failed.stderr)
  assert.ok(failed.stderr.includes(`in-hostport of tracker in ${pipeline.config}`), failed.stderr)
  assert.equal(start('status').status, 3)
})

test('a bad setting is named with its line before anything is started', () => {
  start('stop')
  const { config } = pipeline
  const console = join(pipeline.stateDir, 'log', 'console.log')
  const before = statSync(console).size
  const good = readFileSync(config, 'utf8')
  writeFileSync(config, good.replace('out-tls: none', 'out-tls: nope'))
  const failed = start('--detach')
  assert.equal(start('--check').status, 1)
  writeFileSync(config, good)
  assert.equal(failed.status, 2)
  assert.match(failed.stderr, /config\.yaml:6: out-tls "nope": expected one of/)
  assert.equal(statSync(console).size, before, 'not even the first process was started')
  const check = start('--check')
  assert.equal(check.status, 0, check.stderr)
  assert.match(check.stdout, /config\.yaml is good/)
  assert.equal(start('status').status, 3, 'a check starts nothing')
  const unknown = start('frobnicate')
  assert.equal(unknown.status, 2)
})

test('two calls at once start everything once', async () => {
  start('stop')
  const calls = await Promise.all([1, 2].map(() => pipeline.begin('--detach')))
  const ends = await Promise.all(calls.map(call => call.exited))
  assert.deepEqual(
    ends.map(end => end.code),
    [0, 0],
    calls.map(call => call.output.stdout + call.output.stderr).join('\n'),
  )
  await until('all to be up', () => start('status').status === 0, 60_000, 100)
})

test('what runs can be seen and stopped while the configuration is broken', () => {
  start('--detach')
  const before = state()
  const { config } = pipeline
  const good = readFileSync(config, 'utf8')
  writeFileSync(config, good.replace('out-tls: none', 'out-tls: nope'))
  const status = start('status')
  writeFileSync(config, '{')
  const helpless = start('stop')
  const stop = start('stop', '--config', 'config/mta-tracking.example.yaml')
  writeFileSync(config, good)
  assert.equal(helpless.status, 2)
  assert.match(helpless.stderr, /not valid YAML.*\n.*--config config\/mta-tracking\.example\.yaml does it without/)
  assert.equal(status.status, 0, status.stdout + status.stderr)
  assert.match(status.stdout, /config\.yaml has changed since/)
  assert.equal(stop.status, 0, stop.stderr)
  for (const child of childrenOf(before)) assert.ok(!isAlive(child))
})

test('who has begun a start may leave: it goes on, and takes SIGHUP before all is up', async () => {
  start('stop')
  const log = join(pipeline.stateDir, 'log', 'pipeline.log')
  const before = statSync(log, { throwIfNoEntry: false })?.size ?? 0
  const caller = await pipeline.begin('--detach')
  const { supervisor } = await until('the supervisor to be recorded', () => pipeline.state(), 60_000)
  // As what rotates logs does.
  process.kill(supervisor.pid, 'SIGHUP')
  caller.kill('SIGKILL')
  await caller.exited
  await until(
    'its word that all is up',
    () => readFileSync(log, 'utf8').slice(before).includes('Try next') || !isAlive(supervisor),
    60_000,
  )
  // Takes longer than the word to its caller, which is the next that it does.
  assert.equal(start('status').status, 0)
  assert.deepEqual(state().supervisor, supervisor)
})
