import assert from 'node:assert/strict'
import { mkdtemp, readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, test } from 'node:test'
import pino from 'pino'
import { RejectedRecords } from './rejected-records.ts'

const log = pino({ level: 'silent' })
let file: string
beforeEach(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'rejected-')), 'rejected.ndjson')
})

const read = async (path: string) =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as { reason: string; record: string })

test('more lines at once than may wait are written as far as they may, and so are those that come later', async () => {
  const rejected = new RejectedRecords(file, 20e6, log)
  const lines = Array.from({ length: 100_000 }, (_, i) => ({ text: String(i), reason: 'no header line has come yet' }))
  rejected.add(lines, 0)
  await rejected.flush()
  const first = await read(file)
  assert.ok(first.length > 10_000 && first.length < 100_000, String(first.length))
  rejected.add([{ text: 'later', reason: 'x' }], 0)
  await rejected.flush()
  assert.equal((await read(file)).at(-1)?.record, 'later')
})

test('both files hold whole lines only, within the bound', async () => {
  const bytesMax = 10_000
  const rejected = new RejectedRecords(file, bytesMax, log)
  for (let round = 0; round < 20; round++) {
    const lines = Array.from({ length: 1 + round * 5 }, (_, i) => ({ text: 'x'.repeat((i % 5) * 50), reason: 'x' }))
    rejected.add([{ text: 'y'.repeat(6_000), reason: 'does not fit' }, ...lines], 0)
    await rejected.flush()
  }
  rejected.add([{ text: 'the last', reason: 'x' }], 0)
  await rejected.flush()
  const [now, before] = await Promise.all([stat(file), stat(`${file}.1`)])
  assert.ok(now.size + before.size <= bytesMax)
  await read(`${file}.1`)
  assert.equal((await read(file)).at(-1)?.record, 'the last')
})
