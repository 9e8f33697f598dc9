/** Durable things with real files and real processes that are killed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { lockDirectory } from '../../lib/durable/directory-lock.ts'
import { writeFileDurably } from '../../lib/durable/durable-file.ts'
import { fileSystem } from '../../lib/durable/file-system.ts'
import { SegmentLog, type Damage } from '../../lib/durable/segment-log.ts'
import { identify } from '../../lib/process/process-identity.ts'
import { StartError } from '../../lib/process/start-error.ts'
import { startProcess, until } from '../support/process.ts'

const root = await mkdtemp(join(tmpdir(), 'mta-durable-'))
after(() => rm(root, { recursive: true, force: true }))
let made = 0
let dir = ''
beforeEach(() => (dir = join(root, String(++made))))

const startAppending = (folder: string) =>
  startProcess('node', [fileURLToPath(new URL('appending-child.ts', import.meta.url)), folder])

describe('SegmentLog, on a real disk', () => {
  it('has every record that was acknowledged before a kill -9, after three of them', async () => {
    const told = new Set<string>()
    for (let life = 0; life < 3; life++) {
      const child = await startAppending(dir)
      await until('it to append', () => child.output.stdout.length > 10_000)
      child.kill('SIGKILL')
      await child.exited
      for (const line of child.output.stdout.split('\n').slice(0, -1)) told.add(line)
    }
    const damages: Damage[] = []
    const log = await SegmentLog.open({ dir, bytesMax: 1e9, onDamage: damage => damages.push(damage) })
    const found = new Set<string>()
    for (let after = 0; ;) {
      const records = await log.read(after, 1e6)
      if (records.length === 0) break
      for (const { seq, payload } of records) {
        assert.equal(seq, after + 1)
        after = seq
        found.add(payload.toString())
      }
    }
    assert.deepEqual(
      [...told].filter(text => !found.has(text)),
      [],
    )
    assert.equal(found.size, log.lastSeq)
    assert.deepEqual(damages, [])
    await log.close()
  })

  it('starts whatever its files are: foreign, a folder, empty, full of NUL, of another kind', async () => {
    let log = await SegmentLog.open({ dir, bytesMax: 1e6, segmentBytes: 100 })
    for (let i = 0; i < 20; i++) await log.append(Buffer.from(`record ${i} ${'.'.repeat(40)}`))
    const unlocked = (await readdir(dir)).filter(name => name.endsWith('.segment')).toSorted()
    await rm(join(dir, unlocked[1]!))
    await mkdir(join(dir, unlocked[1]!))
    await writeFile(join(dir, unlocked[2]!), '')
    await writeFile(join(dir, unlocked[3]!), Buffer.alloc(5_000))
    await writeFile(join(dir, unlocked[4]!), 'something else entirely, longer than a record')
    await writeFile(join(dir, 'released'), 'nonsense')
    await writeFile(join(dir, 'notes.txt'), 'mine')
    await rm(join(dir, 'lock'))
    const damages: Damage[] = []
    const other = join(root, `${made}-copy`)
    await mkdir(other)
    for (const name of (await readdir(dir)).filter(name => name !== 'lock')) {
      if ((await stat(join(dir, name))).isDirectory()) await mkdir(join(other, name))
      else await writeFile(join(other, name), await readFile(join(dir, name)))
    }
    await log.close()
    log = await SegmentLog.open({ dir: other, bytesMax: 1e6, onDamage: damage => damages.push(damage) })
    const texts = (await log.read(0, 1e6)).map(({ payload }) => payload.toString().slice(0, 9).trim())
    assert.deepEqual(texts, ['record 0', ...Array.from({ length: 15 }, (_, i) => `record ${i + 5}`)])
    assert.equal(damages.length, 4)
    assert.equal(
      damages.reduce((sum, { recordsMissing }) => sum + (recordsMissing ?? 0), 0),
      4,
    )
    await log.append(Buffer.from('next'))
    assert.equal(log.lastSeq, 21)
    await log.close()
    assert.equal(await readFile(join(other, 'notes.txt'), 'utf8'), 'mine')
  })
})

describe('lockDirectory', () => {
  it('refuses a folder that a live process has, and takes over from a dead one', async () => {
    const child = await startAppending(dir)
    await until('it to have the folder', () => child.output.stdout.length > 0)
    await assert.rejects(
      lockDirectory(dir),
      (error: unknown) =>
        error instanceof StartError &&
        error.message === `${dir} is in use by process ${child.pid}: stop that one or choose another folder`,
    )
    child.kill('SIGKILL')
    await child.exited
    const lock = await lockDirectory(dir)
    await assert.rejects(lockDirectory(dir), StartError)
    await lock.release()
    await (await lockDirectory(dir)).release()
  })

  it('is not fooled by the number of a dead process that another one has now', async () => {
    await mkdir(dir)
    await symlink(`${process.ppid} 12345@another-boot`, join(dir, 'lock'))
    await (await lockDirectory(dir)).release()
    await writeFile(join(dir, 'lock'), `${process.ppid}`)
    await (await lockDirectory(dir)).release()
    for (const content of ['nonsense', '-1 x', '99999999999 1@2']) {
      await symlink(content, join(dir, 'lock'))
      await (await lockDirectory(dir)).release()
    }
  })

  it('takes over from a process that has ended though its parent never asked about it', async () => {
    // The shell that is its parent has become a program that waits for nobody.
    const parent = await startProcess('sh', ['-c', 'sleep 1000 & echo $!; exec sleep 1000'])
    const pid = Number(await until('the number', () => /^\d+\n/.exec(parent.output.stdout)?.[0]))
    const { started } = identify(pid)!
    await mkdir(dir)
    await symlink(`${pid} ${started}`, join(dir, 'lock'))
    await assert.rejects(lockDirectory(dir), StartError)
    process.kill(pid, 'SIGKILL')
    await until('it to have ended', async () => /\) Z /.test(await readFile(`/proc/${pid}/stat`, 'latin1')))
    await (await lockDirectory(dir)).release()
    await parent.stop()
  })

  it("takes over from another user's process that has ended, though nobody asked about it yet", async context => {
    if (process.getuid?.() !== 0) {
      context.skip('needs root')
      return
    }
    const parent = await startProcess('sh', ['-c', 'sleep 1000 & echo $!; exec sleep 1000'])
    context.after(() => parent.stop())
    const pid = Number(await until('the number', () => /^\d+\n/.exec(parent.output.stdout)?.[0]))
    await mkdir(dir)
    await symlink(`${pid} ${identify(pid)!.started}`, join(dir, 'lock'))
    for (const path of [join(dir, '..'), dir]) await chown(path, 65_534, 65_534)
    const lockAsNobody = () => {
      const module = new URL('../../lib/durable/directory-lock.ts', import.meta.url).href
      const source = `import { lockDirectory } from '${module}'
        await lockDirectory('${dir}').then(lock => lock.release()).then(() => console.log('mine'), error => console.log(error.name))`
      const node = [process.execPath, '--input-type=module', '-e', source]
      return spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', ...node], { encoding: 'utf8' })
    }
    assert.notEqual(lockAsNobody().stdout, 'mine\n')
    process.kill(pid, 'SIGKILL')
    await until('it to have ended', async () => /\) Z /.test(await readFile(`/proc/${pid}/stat`, 'latin1')))
    assert.equal(lockAsNobody().stdout, 'mine\n')
  })

  it('takes over at once where another died during a take-over', async () => {
    await mkdir(dir)
    await symlink('99999999 1@2', join(dir, 'lock'))
    await symlink('99999998 1@2', join(dir, 'lock.taking'))
    await (await lockDirectory(dir)).release()
    assert.deepEqual(await readdir(dir), [])
  })

  it('lets exactly one of many have a folder whose owner died', async () => {
    await mkdir(dir)
    await symlink('99999999 1@2', join(dir, 'lock'))
    const children = await Promise.all(Array.from({ length: 3 }, () => startAppending(dir)))
    await until('all but one to give up', () => children.filter(({ child }) => child.exitCode === null).length === 1)
    assert.equal(children.filter(({ output }) => output.stdout.length > 0).length, 1)
    await Promise.all(
      children.map(({ kill, exited }) => {
        kill('SIGKILL')
        return exited
      }),
    )
  })
})

describe('writeFileDurably', () => {
  it('puts the new content in place of the old, readable by its owner only', async () => {
    await mkdir(dir)
    const path = join(dir, 'cursor')
    await writeFileDurably(path, 'one')
    await writeFileDurably(path, Buffer.from('two'))
    assert.equal(await readFile(path, 'utf8'), 'two')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(dir), ['cursor'])
  })

  it('leaves the old content when writing, syncing or renaming fails', async () => {
    await mkdir(dir)
    const path = join(dir, 'cursor')
    await writeFileDurably(path, 'old')
    const fail = async () => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    }
    for (const broken of ['write', 'datasync', 'size'] as const) {
      const files = {
        ...fileSystem,
        open: async (name: string, how: 'create' | 'update' | 'read') => ({
          ...(await fileSystem.open(name, how)),
          [broken]: broken === 'size' ? async () => 1 : fail,
        }),
      }
      await assert.rejects(writeFileDurably(path, 'new', files))
      assert.equal(await readFile(path, 'utf8'), 'old')
      assert.deepEqual(await readdir(dir), ['cursor'])
    }
    await assert.rejects(writeFileDurably(path, 'new', { ...fileSystem, rename: fail }))
    assert.equal(await readFile(path, 'utf8'), 'old')
    assert.deepEqual(await readdir(dir), ['cursor'])
  })
})
