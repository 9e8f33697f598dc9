import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { DeadLetterSource } from './dead-letter-source.ts'
import { DeadLetters, DeadLettersFull, readDeadLetter } from './dead-letters.ts'

const now = Date.parse('2026-02-19T12:00:00Z')
const event = { id: '1', type: 'open', messageId: 'm', at: now }

const newDir = () => mkdtempSync(join(tmpdir(), 'dead-letters-'))

test('DeadLetters keeps event and reason, one a line, and its source gives them back', async () => {
  const dir = newDir()
  const letters = await DeadLetters.open(join(dir, 'deep', 'er'), 1e6, 'host/1')
  await Promise.all([
    letters.append([{ reason: 'refused', raw: JSON.stringify(event) }], now),
    letters.append([{ reason: 'unreadable', raw: '{half' }], now),
  ])
  const [name = ''] = readdirSync(join(dir, 'deep', 'er'))
  assert.equal(name, 'dead-letters-2026-02-19.host_1.ndjson')
  const file = join(dir, 'deep', 'er', name)
  assert.equal(statSync(file).mode & 0o007, 0, 'not for everybody')
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  assert.deepEqual(
    lines.map(line => JSON.parse(line) as unknown),
    [
      { at: '2026-02-19T12:00:00.000Z', reason: 'refused', event },
      { at: '2026-02-19T12:00:00.000Z', reason: 'unreadable', raw: '{half' },
    ],
  )
  assert.equal(readDeadLetter(lines[1] ?? '')?.raw, '{half')

  const source = await DeadLetterSource.open(file)
  appendFileSync(file, lines[0] ?? '')
  const entries = await source.take(10)
  assert.deepEqual(
    entries.map(entry => entry.event?.id),
    ['1', undefined],
  )
  assert.deepEqual(await source.take(10), [])
  assert.ok(source.ended())
})

test('DeadLetters refuses what would pass its bound, and takes it when there is room again', async () => {
  const dir = newDir()
  const letters = await DeadLetters.open(dir, 200, 'a')
  const other = join(dir, 'older.ndjson')
  writeFileSync(other, 'x'.repeat(150))
  await assert.rejects(letters.append([{ reason: 'r', raw: JSON.stringify(event) }], now), DeadLettersFull)
  writeFileSync(other, '')
  await letters.append([{ reason: 'r', raw: JSON.stringify(event) }], now)
})

test('readDeadLetter is not put off by anything', () => {
  for (const line of ['', '{}', 'null', '[]', '{"reason":1}', '{"reason":"x"}', '{"reason":"x","event":null}']) {
    assert.equal(readDeadLetter(line), undefined, line)
  }
})
