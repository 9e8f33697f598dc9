/** Programs that are loaded from what Node compiled of them before. */
import assert from 'node:assert/strict'
import { chmod, lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { startProcess, until } from '../support/process.ts'

interface Told {
  readonly word: string
  readonly pid: number
  readonly args: readonly string[]
  readonly flags: readonly string[]
  readonly input: string
  readonly compiledIn?: string
  readonly malloc: readonly (string | null)[]
  readonly strips: boolean
}

const program = join(import.meta.dirname, 'compiled-program.ts')
let dir: string
let part: string
let compiled: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'compiled-'))
  part = join(dir, 'part.mts')
  compiled = join(dir, `mta-tracking-compiled-${process.geteuid?.()}`)
  await writeFile(part, "export const word: string = 'first'\n")
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function start(env: Readonly<Record<string, string>> = {}): Promise<Told & { readonly startedPid: number }> {
  const started = await startProcess('node', ['--no-opt', program, part, '--one', 'two words'], {
    input: 'what was in the pipe',
    env: {
      NODE_COMPILE_CACHE: undefined,
      MALLOC_ARENA_MAX: undefined,
      MALLOC_TRIM_THRESHOLD_: undefined,
      TMPDIR: dir,
      ...env,
    },
  })
  const { code } = await started.exited
  assert.equal(code, 0, started.output.stderr)
  assert.equal(started.output.stderr, '')
  return { ...(JSON.parse(started.output.stdout) as Told), startedPid: started.pid }
}

test('no start runs with what strips types: pid, arguments, flags and input are as given', async () => {
  for (const word of ['first', 'first', 'changed', 'changed']) {
    await writeFile(part, `export const word: string = '${word}'\n`)
    const told = await start()
    assert.deepEqual(told, {
      word,
      pid: told.startedPid,
      startedPid: told.startedPid,
      args: ['--one', 'two words'],
      flags: told.flags,
      input: 'what was in the pipe',
      compiledIn: compiled,
      malloc: ['1', '131072'],
      strips: false,
    })
    assert.ok(told.flags.includes('--no-concurrent-recompilation'))
    assert.equal(told.flags.at(-1), '--no-opt')
  }
  assert.equal((await lstat(compiled)).mode & 0o777, 0o700)
})

test('several that start at once all do', async () => {
  const told = await Promise.all(Array.from({ length: 4 }, () => start()))
  assert.deepEqual(
    told.map(({ word }) => word),
    ['first', 'first', 'first', 'first'],
  )
})

test('a folder that others can write is not used', async () => {
  await mkdir(compiled)
  await chmod(compiled, 0o777)
  assert.equal((await start()).compiledIn, undefined)
  await rm(compiled, { recursive: true })
  const theirs = join(dir, 'theirs')
  await mkdir(theirs, { mode: 0o700 })
  await symlink(theirs, compiled)
  assert.equal((await start()).compiledIn, undefined)
  assert.deepEqual(await readdir(theirs), [])
})

test('it starts where there is no folder, and where none is wanted', async () => {
  for (const env of [{ TMPDIR: join(dir, 'nowhere') }, { NODE_DISABLE_COMPILE_CACHE: '1' }]) {
    const { word, compiledIn, flags } = await start(env)
    assert.deepEqual({ word, compiledIn }, { word: 'first', compiledIn: undefined })
    assert.ok(flags.includes('--no-concurrent-recompilation'))
  }
})

test('a folder that is of no use to Node is tried once', async t => {
  // Node's folder in it would have too long a path, as it would have no place on a full disk.
  let deep = dir
  const left = () => 4_090 - join(deep, `mta-tracking-compiled-${process.geteuid?.()}`).length
  while (left() > 1) deep = join(deep, 'x'.repeat(Math.min(200, left() - 1)))
  await mkdir(deep, { recursive: true })
  const started = await startProcess('node', [program, part], {
    input: '',
    env: { NODE_COMPILE_CACHE: undefined, TMPDIR: deep },
  })
  t.after(() => started.stop(0))
  await until('a start', () => started.output.stdout.includes('"word":"first"'))
})

test('what the user has set is used as it is', async () => {
  const own = join(dir, 'own')
  for (const [env, malloc] of [
    [{}, ['1', '131072']],
    [{ MALLOC_ARENA_MAX: '3' }, ['3', '131072']],
    [{ MALLOC_TRIM_THRESHOLD_: '5000' }, ['1', '5000']],
  ] as const) {
    const told = await start({ NODE_COMPILE_CACHE: own, ...env })
    assert.deepEqual([told.compiledIn, told.strips, told.malloc], [own, false, malloc])
  }
})
