import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { withKeyFileLocked } from './key-file-lock.ts'
import { addKey, parseKeyFile, readKeyFile, writeKeyFile } from './key-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'key-lock-'))
after(() => rmSync(dir, { recursive: true }))

async function addTo(file: string): Promise<string> {
  return withKeyFileLocked(file, async () => {
    const { text, id } = addKey(readKeyFile(file), new Date(0))
    await writeKeyFile(file, text)
    return id
  })
}

test('changes of a key file at the same time wait for each other: no key is lost, also by another name of the file', async () => {
  const file = join(dir, 'keys')
  const other = join(dir, 'other-name')
  const first = addKey('', new Date(0))
  await writeKeyFile(file, first.text)
  symlinkSync(file, other)
  const added = await Promise.all(Array.from({ length: 12 }, (_, index) => addTo(index % 2 ? file : other)))
  const keys = parseKeyFile(readKeyFile(file))
  assert.deepEqual(keys.map(key => key.id).toSorted(), [first.id, ...added].toSorted())
  assert.equal(keys.filter(key => key.state === 'signing').length, 1)
  assert.deepEqual(readdirSync(dir).toSorted(), ['keys', 'other-name'])
})

test('a change that fails gives the lock up; one that was killed leaves it, and the error says what to remove', async () => {
  const file = join(dir, 'failing')
  await assert.rejects(
    withKeyFileLocked(file, () => Promise.reject(new Error('disk full'))),
    /disk full/,
  )
  assert.equal(await withKeyFileLocked(file, () => Promise.resolve(7)), 7)
  writeFileSync(`${file}.lock`, '')
  await assert.rejects(
    withKeyFileLocked(file, () => Promise.resolve(7), 0),
    new RegExp(`being changed by another linktool; when none runs, one was killed: remove ${file}.lock`),
  )
})
