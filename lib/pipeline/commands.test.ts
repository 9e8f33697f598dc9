import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkSettings, printStatus, sendSample } from './commands.ts'
import type { PipelinePlan } from './plan.ts'

/** A plan whose only process runs this instead of judging its settings. */
function planThatRuns(code: string): PipelinePlan {
  const child = {
    name: 'tracker',
    command: process.execPath,
    // What follows is handed to the code.
    args: ['--eval', code, '--'],
    env: {},
    health: '',
    listens: [],
    logFile: '',
  } as const
  return { children: [child], configFile: '', linkKeysFile: undefined }
}
const hangs = planThatRuns('setInterval(() => undefined, 1000)')
const here = import.meta.dirname

test('checkSettings has a line for what is wrong, and none where all is good', async () => {
  assert.deepEqual(await checkSettings(planThatRuns('process.exit(0)'), here), [])
  const wrong = planThatRuns('console.error("tracker: no such file"); process.exit(1)')
  assert.deepEqual(await checkSettings(wrong, here), ['tracker: no such file'])
})

test('checkSettings does not wait for ever for a process that does not answer', async () => {
  assert.deepEqual(await checkSettings(hangs, here, { checkMs: 200 }), [
    'tracker: no word on its settings within 0.2 s: does a file that they name hang?',
  ])
})

test('checkSettings ends when it is told to', { timeout: 20_000 }, async () => {
  const stop = new AbortController()
  const judged = checkSettings(hangs, here, { stopping: stop.signal })
  stop.abort()
  await judged
})

test('all is not well while nothing but the supervisor runs, and there is nowhere to send a sample to', async () => {
  const state = { supervisor: { pid: 1, started: '' }, children: [], configFile: '', startedAt: 0 }
  const said: string[] = []
  assert.equal(await printStatus(state, text => said.push(text)), false)
  assert.equal(await sendSample(state, '', text => said.push(text)), false)
  assert.deepEqual(said, Array(2).fill('mta-tracking is still being started: call this again in a moment'))
})

test('a wrapper that does not listen yet is told from one that refuses the sample', async () => {
  const listens = [{ where: '127.0.0.1:1', what: 'SMTP' }]
  const state = {
    supervisor: { pid: 1, started: '' },
    children: [{ name: 'wrapper', health: '', listens } as const],
    configFile: '',
    startedAt: 0,
  }
  const said: string[] = []
  assert.equal(await sendSample(state, import.meta.filename, text => said.push(text)), false)
  assert.deepEqual(said, ['the wrapper at 127.0.0.1:1 is not up: see status'])
})
