import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { claimConsumerName } from './consumer-name.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'consumer-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

test('claimConsumerName gives each that lives a name of its own, and the first again when that one has gone', async () => {
  const [first, second] = [await claimConsumerName(dir), await claimConsumerName(dir)]
  assert.notEqual(first.name, second.name)
  await first.release()
  const third = await claimConsumerName(dir)
  assert.equal(third.name, first.name)
  await Promise.all([second.release(), third.release()])
})

test('claimConsumerName gives the name of one that was killed to the next', async () => {
  const module = JSON.stringify(new URL('consumer-name.ts', import.meta.url).href)
  const script = `const { claimConsumerName } = await import(${module})
    const { name } = await claimConsumerName(${JSON.stringify(dir)})
    await new Promise(resolve => process.stdout.write(name, resolve))
    process.kill(process.pid, 'SIGKILL')`
  const killed = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal(killed.signal, 'SIGKILL', killed.stderr)
  const next = await claimConsumerName(dir)
  assert.equal(next.name, killed.stdout)
  await next.release()
})

test('claimConsumerName gives none of the names of another folder', async () => {
  const one = await claimConsumerName(join(dir, 'one'))
  const other = await claimConsumerName(join(dir, 'other'))
  assert.notEqual(one.name, other.name)
  await Promise.all([one.release(), other.release()])
})

test('claimConsumerName refuses a name that was asked for and that another has', async () => {
  const first = await claimConsumerName(dir, 'a/b')
  assert.equal(first.name, 'a/b')
  await assert.rejects(
    claimConsumerName(dir, 'a/b'),
    /--consumer a\/b is the name of another feeder: .* in use by process/,
  )
  await first.release()
  await (await claimConsumerName(dir, 'a/b')).release()
})

test('claimConsumerName gives a name also where nothing can be written', async () => {
  const { name, release } = await claimConsumerName(join(import.meta.filename, 'no-folder'))
  assert.match(name, new RegExp(`-${process.pid}$`))
  await release()
})
