import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder } from './make-folder.ts'

test('makeFolder makes what is missing, and takes what is there', context => {
  const dir = mkdtempSync(join(tmpdir(), 'make-folder-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const deep = join(dir, 'a/b/c')
  makeFolder(deep, 0o700)
  makeFolder(deep)
  makeFolder(`${deep}/d/`)
  makeFolder('/')
  assert.equal(statSync(join(dir, 'a')).mode & 0o777, 0o700)
  symlinkSync(deep, join(dir, 'link'))
  makeFolder(join(dir, 'link/e'))
  assert.ok(statSync(join(deep, 'e')).isDirectory())
  writeFileSync(join(dir, 'file'), '')
  assert.throws(() => makeFolder(join(dir, 'file')), { code: 'EEXIST' })
  assert.throws(() => makeFolder(join(dir, 'file/below')), { code: 'ENOTDIR' })
})

test('makeFolder says so where no folder can be made', () => {
  assert.throws(() => makeFolder('/proc/none/deeper'), { code: 'ENOENT' })
})
