import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { endProcess, identify, isAlive } from './process-identity.ts'

/** A process that ends by SIGKILL only, and has said that it hears SIGTERM. */
async function stubborn(): Promise<number> {
  const script = "process.on('SIGTERM', () => undefined); setInterval(() => undefined, 1e6); console.log('ready')"
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise(resolve => child.stdout.once('data', resolve))
  return child.pid!
}

test('endProcess insists, and returns when the process is gone', async () => {
  const identity = identify(await stubborn())!
  assert.ok(isAlive(identity))
  await endProcess(identity, 100)
  assert.ok(!isAlive(identity))
})

test('a pid that another process has by now is no sign of life, and that process is left alone', async () => {
  const identity = identify(await stubborn())!
  const other = { ...identity, started: identity.started.replace(/^\d+/, '1') }
  assert.ok(!isAlive(other))
  assert.ok(!isAlive({ ...identity, started: identity.started.replace(/@.*/, '@another-boot') }))
  await endProcess(other, 0)
  assert.ok(isAlive(identity))
  await endProcess(identity, 0)
})
