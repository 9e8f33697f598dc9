import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { isRotationOf, rotatedFiles } from './rotated-files.ts'

for (const name of [
  'mail.log.1',
  'mail.log.12.gz',
  'mail.log-20260222',
  'mail.log-20260222.xz',
  'mail-20260222.log',
  'mail-20260222.log.gz',
  'mail.log.20260222-132501.gz',
  'mail.log-2026-02-22',
]) {
  test(`${name} is a rotation of mail.log`, () => assert.ok(isRotationOf(name, 'mail.log')))
}
for (const name of [
  'mail.log',
  'mail.log.offset',
  'mail.log.1.tmp',
  'mail.logs.1',
  'xmail.log.1',
  'mail.err.1',
  'mail.log.bak',
]) {
  test(`${name} is none`, () => assert.ok(!isRotationOf(name, 'mail.log')))
}

function inFolder(files: Record<string, number>, check: (path: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'rotated-'))
  for (const [name, seconds] of Object.entries(files)) {
    writeFileSync(join(dir, name), name)
    utimesSync(join(dir, name), seconds, seconds)
  }
  return check(join(dir, 'mail.log')).finally(() => rmSync(dir, { recursive: true }))
}

test('rotatedFiles: higher numbers are older, whatever their times say', async () => {
  await inFolder({ 'mail.log': 9, 'mail.log.1': 1, 'mail.log.10.gz': 5, 'mail.log.2': 7 }, async path => {
    const names = (await rotatedFiles(path)).map(file => basename(file.path))
    assert.deepEqual(names, ['mail.log.10.gz', 'mail.log.2', 'mail.log.1'])
  })
})
test('rotatedFiles: dates by their time; a file that is being compressed counts once', async () => {
  await inFolder(
    { 'mail.log-20260301': 3, 'mail.log-20260222': 2, 'mail.log-20260222.gz': 4, 'mail.log-20260215.gz': 1 },
    async path => {
      const names = (await rotatedFiles(path)).map(file => basename(file.path))
      assert.deepEqual(names, ['mail.log-20260215.gz', 'mail.log-20260222', 'mail.log-20260301'])
    },
  )
})
test('rotatedFiles of a folder that is not there: none', async () => {
  assert.deepEqual(await rotatedFiles('/nonexistent/mail.log'), [])
})
