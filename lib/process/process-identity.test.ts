import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
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

/** Runs a script as nobody, before whom /proc hides what others run. */
function asNobody(hidepid: number, script: string) {
  const module = new URL('process-identity.ts', import.meta.url).href
  const hide = `mount -t proc -o hidepid=${hidepid} proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`
  const source = `import { endProcess, isAlive } from '${module}'\n${script}`
  const node = [process.execPath, '--input-type=module', '-e', source]
  return spawnSync('unshare', ['-m', 'sh', '-c', hide, 'sh', ...node], { encoding: 'utf8' })
}

for (const hidepid of [1, 2]) {
  test(`a process that /proc hides (hidepid=${hidepid}) is no dead one, and can not be ended`, context => {
    const trial = asNobody(hidepid, '')
    if (trial.error || trial.status !== 0) {
      context.skip('needs root, unshare and setpriv')
      return
    }
    const identity = JSON.stringify(identify(process.pid))
    const { stdout, stderr } = asNobody(
      hidepid,
      `console.log(isAlive(${identity}), isAlive({ pid: 4194303, started: 'x' }))
       await endProcess(${identity}, 0).catch(({ code }) => console.log(code))`,
    )
    assert.equal(stdout, 'true false\nEPERM\n', stderr)
  })
}
