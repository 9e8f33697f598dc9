import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { LastReading } from './last-reading.ts'

const dir = mkdtempSync(join(tmpdir(), 'last-reading-'))
after(() => rmSync(dir, { recursive: true }))

test('LastReading reads a file once, and again when another takes its place', () => {
  const file = join(dir, 'list')
  let readings = 0
  const reading = new LastReading(name => {
    readings++
    return readFileSync(name, 'utf8')
  })
  assert.throws(() => reading.of(file), /ENOENT/)
  writeFileSync(file, 'one')
  assert.deepEqual([reading.of(file), reading.of(file), readings], ['one', 'one', 2])
  writeFileSync(`${file}.new`, 'two')
  renameSync(`${file}.new`, file)
  assert.deepEqual([reading.of(file), reading.of(file), readings], ['two', 'two', 3])
  rmSync(file)
  assert.throws(() => reading.of(file), /ENOENT/)
})
