import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
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
  await source.close()
})

test('half a line that a killed process left in the file does not spoil the next one', async () => {
  const dir = newDir()
  const append = async (id: string) => {
    const letters = await DeadLetters.open(dir, 1e6, 'host')
    await letters.append([{ reason: 'refused', raw: JSON.stringify({ ...event, id }) }], now)
  }
  for (const id of ['1', '2']) await append(id)
  const file = join(dir, readdirSync(dir)[0] ?? '')
  truncateSync(file, statSync(file).size - 9)
  for (const id of ['3', '4']) await append(id)
  const source = await DeadLetterSource.open(file)
  const entries = await source.take(10)
  assert.deepEqual(
    entries.map(entry => entry.event?.id),
    ['1', undefined, '3', '4'],
  )
  await source.close()
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

test('DeadLetterSource gives back every event whatever characters it holds, however few are taken at once', async () => {
  const character = fc.constantFrom('\u2028', '\u2029', '\u0085', '\r', '\n', '"', '\\', 'é', '\u{1f600}', 'x')
  const userAgents = fc.array(fc.string({ unit: character }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(userAgents, fc.integer({ min: 1, max: 5 }), async (agents, max) => {
      const dir = newDir()
      const letters = await DeadLetters.open(dir, 1e6, 'a')
      const raws = agents.map((userAgent, n) => JSON.stringify({ ...event, id: String(n), userAgent }))
      await letters.append(
        raws.map(raw => ({ reason: 'HTTP 400', raw })),
        now,
      )
      const source = await DeadLetterSource.open(join(dir, readdirSync(dir)[0] ?? ''))
      const read: string[] = []
      while (!source.ended()) {
        const entries = await source.take(max)
        assert.ok(entries.length <= max)
        for (const { event: found, raw } of entries) {
          assert.ok(found, 'taken for unreadable')
          read.push(raw)
        }
      }
      await source.close()
      assert.deepEqual(read, raws)
    }),
    { numRuns: 50 },
  )
})

test('DeadLetterSource passes over a line that is too long, keeping its beginning, and blank ones', async () => {
  const file = join(newDir(), 'edited.ndjson')
  const good = JSON.stringify({ reason: 'r', event })
  writeFileSync(file, `\n \r\n${'y'.repeat(8_000_001)}\r\n${good}\r\n${good}`)
  const source = await DeadLetterSource.open(file)
  const entries = [...(await source.take(10)), ...(await source.take(10))]
  assert.deepEqual(
    entries.map(({ event: found, raw }) => [found?.id, raw.length]),
    [
      [undefined, 1_000],
      ['1', JSON.stringify(event).length],
      ['1', JSON.stringify(event).length],
    ],
  )
  assert.deepEqual(await source.take(10), [])
  assert.ok(source.ended())
  await source.close()
})

test('DeadLetterSource hands out what it had read when a read fails, and goes on there', async t => {
  const file = join(newDir(), 'letters.ndjson')
  const ids = Array.from({ length: 1_000 }, (_, n) => String(n))
  writeFileSync(
    file,
    ids.map(id => `${JSON.stringify({ reason: 'r', event: { ...event, id, url: 'x'.repeat(200) } })}\n`).join(''),
  )
  const source = await DeadLetterSource.open(file)
  const handle = await open(file)
  const prototype = Object.getPrototypeOf(handle) as typeof handle
  await handle.close()
  const read = Reflect.get(prototype, 'read') as (...args: unknown[]) => Promise<unknown>
  let reads = 0
  t.mock.method(prototype, 'read', function (this: unknown, ...args: unknown[]) {
    return ++reads % 2 === 0 ? Promise.reject(new Error('EIO')) : Reflect.apply(read, this, args)
  })
  const taken: (string | undefined)[] = []
  while (!source.ended()) {
    const entries = await source.take(5_000).catch(() => [])
    for (const entry of entries) taken.push(entry.event?.id)
  }
  assert.deepEqual(taken, ids)
  assert.ok(reads > 4)
  await source.close()
})

test('DeadLetterSource refuses a folder', async () => {
  await assert.rejects(DeadLetterSource.open(newDir()), { code: 'not a regular file' })
})

test('what is nested deeper than can be written as JSON is kept as it stood in the queue', async () => {
  const dir = newDir()
  const letters = await DeadLetters.open(dir, 1e8, 'x')
  const depth = 1_000_000
  const raw = `{"id":"1","type":"open","messageId":"m","at":1,"url":${'['.repeat(depth)}${']'.repeat(depth)}}`
  await letters.append([{ reason: 'refused', raw }], now)
  const [name = ''] = readdirSync(dir)
  const letter = readDeadLetter(readFileSync(join(dir, name), 'utf8'))
  assert.equal(letter?.raw, raw)
  // As others may have written it: not to be read, and no reason to stop at it.
  const path = join(dir, 'hand-made')
  writeFileSync(path, `{"reason":"refused","event":${raw}}\n${JSON.stringify({ reason: 'refused', event })}\n`)
  const source = await DeadLetterSource.open(path)
  const entries = await source.take(10)
  await source.close()
  assert.equal(entries.length, 2)
  assert.equal(entries[1]?.event?.id, '1')
})
