import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { logPaths } from './log-paths.ts'

const dir = mkdtempSync(join(tmpdir(), 'log-paths-'))
after(() => rmSync(dir, { recursive: true }))
mkdirSync(join(dir, 'other'))
for (const name of ['a.log', 'a.log.1', 'a-20261121.log', 'b-20261121.log', 'other/c.log.1'])
  writeFileSync(join(dir, name), '')
const at = (...names: string[]) => names.map(name => join(dir, name))

test('logPaths: a glob finds logs, not their rotations', () => {
  assert.deepEqual(logPaths(at('*.log')).paths, at('a.log', 'b-20261121.log'))
  assert.deepEqual(logPaths(at('a*')).paths, at('a.log'))
})

test('logPaths: nor the rotations of a log that is away, where it is known', () => {
  assert.deepEqual(logPaths(at('*.log'), at('b.log')).paths, at('a.log'))
  assert.deepEqual(logPaths(at('*.log'), at('other/b.log')).paths, at('a.log', 'b-20261121.log'))
})

test('logPaths: what is named is followed, whatever it looks like and whether it is there', () => {
  assert.deepEqual(logPaths(at('b-20261121.log'), at('b.log')).paths, at('b-20261121.log'))
  assert.deepEqual(logPaths(['-', 'journald', ...at('not-there.log')]).paths, ['-', 'journald', ...at('not-there.log')])
  assert.deepEqual(logPaths(at('other/c.log.1', 'c.log')).paths, at('other/c.log.1', 'c.log'))
  assert.deepEqual(logPaths(at('none*.log')), { paths: [], globs: at('none*.log') })
})
