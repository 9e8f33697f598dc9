/** Sources kept without their types: what is preloaded into Node 22 (any Node can take it). */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { chmod, lstat, mkdtemp, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { startProcess } from '../support/process.ts'

const preload = new URL('../../lib/process/node-22.mjs', import.meta.url).href
const program = join(import.meta.dirname, 'compiled-program.ts')
let dir: string
let part: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'node-22-'))
  part = join(dir, 'part.mts')
  await writeFile(part, source('first'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

function source(word: string): string {
  return `export const word: string = '${word}'\n`
}

/** One life of the program: what it says, and whether it had to strip. */
async function start(): Promise<{ readonly word: string; readonly strips: boolean }> {
  const started = await startProcess('node', [`--import=${preload}`, program, part], {
    input: '',
    env: { NODE_COMPILE_CACHE: join(dir, 'cache'), MTA_TRACKING_COMPILED: 'filled' },
  })
  const { code } = await started.exited
  assert.equal(code, 0, started.output.stderr)
  assert.equal(started.output.stderr, '')
  const { word, strips } = JSON.parse(started.output.stdout) as { word: string; strips: boolean }
  return { word, strips }
}

/** Where they are kept. */
async function keptIn(): Promise<string> {
  const [version = ''] = await readdir(join(dir, 'cache'))
  return join(dir, 'cache', version, 'stripped')
}

/** Puts a text of our own in the place of what was kept of `part`, with a checksum that fits. */
async function forge(): Promise<void> {
  const text = source('forged').replace(': string', '')
  const kept = join(await keptIn(), hash('sha256', pathToFileURL(part).href))
  await lstat(kept)
  await writeFile(kept, hash('sha256', hash('sha256', source('first')) + text) + text)
}

test('only a source that is new or was changed is stripped', async () => {
  assert.deepEqual(await start(), { word: 'first', strips: true })
  assert.deepEqual(await start(), { word: 'first', strips: false })
  await writeFile(part, source('second'))
  assert.deepEqual(await start(), { word: 'second', strips: true })
  assert.deepEqual(await start(), { word: 'second', strips: false })
  assert.equal((await lstat(await keptIn())).mode & 0o777, 0o700)
})

test('what was kept is what is loaded, from a folder that nobody else can write', async () => {
  await start()
  await forge()
  assert.deepEqual(await start(), { word: 'forged', strips: false })

  const kept = await keptIn()
  await chmod(kept, 0o777)
  assert.equal((await start()).word, 'first')
  await chmod(kept, 0o700)
  const theirs = join(dir, 'theirs')
  await rename(kept, theirs)
  await symlink(theirs, kept)
  assert.equal((await start()).word, 'first')
})

test('what is damaged is stripped again', async () => {
  await start()
  const kept = await keptIn()
  const damages: ((path: string) => Promise<void>)[] = [
    path => truncate(path, 0),
    path => truncate(path, 80),
    path => writeFile(path, Buffer.alloc(500, 0xff)),
    async path => writeFile(path, (await readFile(path, 'utf8')).replace('first', 'worst')),
    async path => {
      await rm(path)
      await symlink('/nowhere/at/all', path)
    },
  ]
  for (const damage of damages) {
    for (const name of await readdir(kept)) await damage(join(kept, name))
    assert.deepEqual(await start(), { word: 'first', strips: true })
    assert.deepEqual(await start(), { word: 'first', strips: false })
  }
})

test('several that start at once all do, and leave it whole', async () => {
  const told = await Promise.all(Array.from({ length: 6 }, start))
  assert.deepEqual(
    told.map(({ word }) => word),
    Array.from({ length: 6 }, () => 'first'),
  )
  assert.deepEqual(await start(), { word: 'first', strips: false })
  assert.deepEqual(
    (await readdir(await keptIn())).filter(name => !/^[0-9a-f]{64}$/.test(name)),
    [],
  )
})
