import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { DeliveryLog } from './delivery-log.ts'
import { readWholeFile } from './dry-run.ts'
import { lineBytesMax } from './log-source.ts'

test('each line of a file is read once and in order, wherever its pieces end, however long it is', async context => {
  const dir = mkdtempSync(join(tmpdir(), 'dry-run-'))
  context.after(() => rmSync(dir, { recursive: true }))
  const lengths = [1, 97, 98_303, 98_304, 98_305, 65_536, 786_431, 786_432, 2_000_000, 393_216, 400_000, 3]
  const lines: string[] = []
  for (let number = 0; number < 20_000; number++)
    lines.push(`${number} `.padEnd(number % 400 === 0 ? lengths[(number / 400) % lengths.length]! : number % 211, 'x'))
  for (const [name, end] of [
    ['ended', '\n'],
    ['not ended', ''],
    ['packed.gz', ''],
  ] as const) {
    const path = join(dir, name)
    const text = lines.join('\n') + end
    writeFileSync(path, name.endsWith('.gz') ? gzipSync(text) : text)
    const read: string[] = []
    const log = { read: (line: string) => (read.push(line), 'other') } as unknown as DeliveryLog
    await readWholeFile(path, log, new Map(), async () => undefined)
    const expected = lines.filter(line => line !== '').map(line => line.slice(0, lineBytesMax))
    assert.equal(read.length, expected.length, name)
    assert.ok(
      read.every((line, index) => line === expected[index]),
      name,
    )
  }
})
