/** Any bytes, written in any pieces, with rotations anywhere between: the lines that were written, each once, in order. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { fresh, LogLab } from '../../../test/support/log-lab.ts'
import { sized } from '../../../test/support/soak.ts'
import type { LogSource, SourceEvents } from './log-source.ts'
import { eachLine } from './log-text.ts'
import { StreamSource } from './stream-source.ts'

const step = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 30 }).map(count => ({ do: 'write' as const, count })) },
  { weight: 3, arbitrary: fc.constant({ do: 'drain' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'restart' as const }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('create' as const, 'compress' as const).map(how => ({ do: 'rotate' as const, how })),
  },
)

test('FileSource gives each line once and in order, whatever is rotated and however often it is down', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async steps => {
      const lab = new LogLab()
      try {
        await lab.open()
        let rotations = 0
        for (const one of steps) {
          if (one.do === 'write') lab.write(one.count)
          else if (one.do === 'drain') await lab.drain()
          else if (one.do === 'restart') await lab.restart()
          else if (rotations++ < 8) lab.rotate(one.how)
        }
        await lab.drain()
        assert.deepEqual(lab.lines, lab.written)
        assert.equal(lab.gaps, 0)
      } finally {
        await lab.close()
      }
    }),
    { numRuns: 60 },
  )
})

test('FileSource reads what copytruncate copied away, also when the log has grown past the old place since', async () => {
  const lab = new LogLab()
  await lab.open()
  for (let round = 0; round < 6; round++) {
    lab.write(20)
    if (round % 2 === 0) await lab.drain()
    lab.write(5)
    lab.rotate('copytruncate')
    lab.write(round * 15)
    if (round % 3 === 0) await lab.restart()
    await lab.drain()
  }
  assert.deepEqual(lab.lines, lab.written)
  await lab.close()
})

test('FileSource splits at line feeds only, whatever the bytes and the pieces', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 12 }), async pieces => {
      const lab = new LogLab()
      try {
        writeFileSync(lab.path, '')
        await lab.open()
        for (const piece of pieces) {
          appendFileSync(lab.path, piece)
          await lab.drain()
        }
        assert.deepEqual(lab.lines, linesOf(Buffer.concat(pieces)))
      } finally {
        await lab.close()
      }
    }),
    { numRuns: 60 },
  )
})

test('StreamSource splits at line feeds only, whatever the bytes and the pieces', async () => {
  const silent: SourceEvents = { trouble: () => undefined, gap: () => undefined, skippedBytes: () => undefined }
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 12 }), async pieces => {
      const stream = new PassThrough()
      const source: LogSource = new StreamSource('-', stream, silent)
      const lines: string[] = []
      for (const piece of pieces) if (piece.length > 0) stream.write(piece)
      stream.end()
      while (!source.ended) {
        const chunk = await source.next()
        if (chunk) eachLine(chunk.text, line => lines.push(line))
        else await new Promise(resolve => setImmediate(resolve))
      }
      const bytes = Buffer.concat(pieces)
      const rest = bytes
        .subarray(bytes.lastIndexOf(10) + 1)
        .toString('latin1')
        .replace(/^\0+/, '')
      assert.deepEqual(lines, [...linesOf(bytes), ...(rest === '' ? [] : [rest])])
    }),
    { numRuns: 200 },
  )
})

/** Lines that have their end; without the NULs before them, without those that are empty. */
function linesOf(bytes: Buffer): string[] {
  return bytes
    .toString('latin1')
    .split('\n')
    .slice(0, -1)
    .map(line => line.replace(/^\0+/, ''))
    .filter(line => line !== '')
}

test('FileSource goes on behind a copy that ends before what was read already', async () => {
  const lab = new LogLab()
  await lab.open()
  lab.write(100)
  await lab.drain()
  copyFileSync(lab.path, `${lab.path}.1`)
  // Written while logrotate copied: read, and gone with the truncation.
  lab.write(5)
  await lab.drain()
  truncateSync(lab.path)
  lab.write(7)
  lab.rotate('copytruncate')
  lab.write(3)
  await lab.drain()
  assert.deepEqual(lab.lines, lab.written)
  await lab.close()
})

test('FileSource follows on when the clock is set back while it waits for the last lines of a renamed file', async () => {
  const lab = new LogLab()
  let [wallMs, passedMs] = [Date.now(), 0]
  lab.write(3)
  await lab.open(fresh, { rotateWaitMs: 5_000, nowMs: () => wallMs, monotonicMs: () => passedMs })
  await lab.drain()
  lab.rotate('create')
  lab.write(3)
  await lab.drain()
  assert.equal(lab.lines.length, 3)
  wallMs -= 3_600_000
  passedMs += 5_000
  await lab.drain()
  assert.deepEqual(lab.lines, lab.written)
  await lab.close()
})

for (const how of ['create', 'copytruncate'] as const) {
  test(`FileSource, away for three rotations of which two are kept (${how}): reads what is left, names what is lost`, async () => {
    const lab = new LogLab()
    lab.write(2)
    await lab.open()
    await lab.drain()
    for (let rotation = 0; rotation < 3; rotation++) {
      lab.write(2)
      lab.rotate(how)
      rmSync(`${lab.path}.3`, { force: true })
      // File systems stamp with a clock that steps.
      await new Promise(resolve => setTimeout(resolve, 60))
    }
    lab.write(2)
    await lab.drain()
    const lost = how === 'create' ? [] : lab.written.slice(2, 4)
    assert.deepEqual(
      lab.lines,
      lab.written.filter(line => !lost.includes(line)),
    )
    assert.equal(lab.gaps, lost.length > 0 ? 1 : 0)
    await lab.close()
  })
}

test('FileSource, with one rotation kept, takes an empty log that is copied away for what it is', async () => {
  const lab = new LogLab()
  await lab.open()
  for (let round = 0; round < 4; round++) {
    lab.write(3)
    await lab.drain()
    lab.rotate('copytruncate')
    await lab.drain()
    // Nothing was logged for a whole round.
    lab.rotate('copytruncate')
    rmSync(`${lab.path}.2`, { force: true })
    rmSync(`${lab.path}.3`, { force: true })
    await lab.drain()
  }
  lab.write(3)
  await lab.drain()
  assert.deepEqual(lab.lines, lab.written)
  assert.equal(lab.gaps, 0)
  await lab.close()
})

test('FileSource, with one rotation kept, goes to a copy that was made between two looks, though nothing follows it', async () => {
  const lab = new LogLab()
  await lab.open()
  for (let round = 0; round < 4; round++) {
    lab.write(3)
    lab.rotate('copytruncate')
    rmSync(`${lab.path}.2`, { force: true })
    await lab.drain()
    assert.deepEqual(lab.lines, lab.written)
  }
  assert.equal(lab.gaps, 0)
  await lab.close()
})

for (const [end, pack] of [
  ['gz', gzipSync],
  ['zst', zstdCompressSync],
  ['xz', (text: Buffer) => execFileSync('xz', ['-c'], { input: text })],
  ['bz2', (text: Buffer) => execFileSync('bzip2', ['-c'], { input: text })],
] as const) {
  test(`FileSource reads .${end} rotations of while it was down, oldest first, from where it was`, async () => {
    const lab = new LogLab()
    lab.write(10)
    await lab.open()
    await lab.drain()
    for (let rotation = 0; rotation < 3; rotation++) {
      lab.write(10)
      for (let number = 3; number > 0; number--) {
        const from = `${lab.path}.${number}.${end}`
        if (existsSync(from)) renameSync(from, `${lab.path}.${number + 1}.${end}`)
      }
      writeFileSync(`${lab.path}.1.${end}`, pack(readFileSync(lab.path)))
      rmSync(lab.path)
      writeFileSync(lab.path, '')
    }
    lab.write(5)
    await lab.restart()
    await lab.drain()
    assert.deepEqual(lab.lines, lab.written)
    assert.equal(lab.gaps, 0)
    await lab.close()
  })

  test(`FileSource says what it lost of a .${end} rotation that is damaged, and goes on`, async () => {
    const lab = new LogLab()
    lab.write(2_000)
    const packed = pack(readFileSync(lab.path))
    writeFileSync(`${lab.path}.1.${end}`, packed.subarray(0, packed.length - 100))
    rmSync(lab.path)
    lab.write(5)
    await lab.open()
    await lab.drain()
    assert.deepEqual(lab.lines.slice(-5), lab.written.slice(-5))
    assert.equal(lab.gaps, 1)
    await lab.close()
  })
}

test('FileSource waits for a log that it may not read at a start, and goes on where it was: no gap, nothing twice', async context => {
  const lab = new LogLab()
  lab.write(3)
  await lab.open()
  await lab.drain()
  lab.write(3)
  chmodSync(lab.dir, 0o755)
  chmodSync(lab.path, 0)
  const troubles: (string | undefined)[] = []
  const events: SourceEvents = { ...lab.events, trouble: (_, reason) => troubles.push(reason) }
  const isRoot = process.geteuid?.() === 0
  // Root may read everything.
  if (isRoot) process.seteuid?.(65_534)
  context.after(() => isRoot && process.seteuid?.(0))
  await lab.open({ from: lab.position, through: lab.position, damaged: false }, { events })
  await lab.drain()
  assert.match(troubles.at(-1) ?? '', /can't be read \(EACCES\): the agent's user needs to be in the group/)
  if (isRoot) process.seteuid?.(0)
  chmodSync(lab.path, 0o644)
  await lab.drain()
  assert.deepEqual(lab.lines, lab.written)
  assert.equal(lab.gaps, 0)
  assert.equal(troubles.at(-1), undefined)
  await lab.close()
})

test('FileSource stays with a renamed file while nothing is in the new one: its logger was not told', async () => {
  for (const restarts of [false, true]) {
    const lab = new LogLab()
    lab.write(3)
    await lab.open()
    await lab.drain()
    lab.rotate('create')
    await lab.drain()
    if (restarts) await lab.restart()
    await lab.drain()
    appendFileSync(`${lab.path}.1`, 'late one\n')
    await lab.drain()
    assert.deepEqual(lab.lines, [...lab.written, 'late one'])
    lab.write(2)
    await lab.drain()
    assert.deepEqual(lab.lines.slice(4), lab.written.slice(3))
    await lab.close()
  }
})

test('FileSource gives a line once it is whole, wherever the writer or the reader stops within it', async () => {
  const text = 'first line\nsecond\n\nlast line of three\n'
  for (const restarts of [false, true]) {
    for (let cut = 0; cut <= text.length; cut++) {
      const lab = new LogLab()
      writeFileSync(lab.path, text.slice(0, cut))
      await lab.open()
      await lab.drain()
      const whole = text.slice(0, text.lastIndexOf('\n', cut - 1) + 1)
      assert.deepEqual(lab.lines, cut === 0 ? [] : linesOf(Buffer.from(whole)))
      if (restarts && lab.position) await lab.restart()
      appendFileSync(lab.path, text.slice(cut))
      await lab.drain()
      assert.deepEqual(lab.lines, linesOf(Buffer.from(text)), `cut at ${cut}`)
      await lab.close()
    }
  }
})

test('FileSource is not fooled by inode numbers that are given again: a hundred rotations, two kept', async context => {
  const lab = new LogLab()
  lab.write(1)
  await lab.open()
  const inodes = new Set<number>()
  const rotations = sized(30, 100)
  for (let rotation = 0; rotation < rotations; rotation++) {
    lab.write(2)
    if (rotation % 3 === 0) await lab.drain()
    lab.rotate('create')
    rmSync(`${lab.path}.3`, { force: true })
    inodes.add(statSync(lab.path).ino)
    if (rotation % 5 === 0) await lab.restart()
    lab.write(1)
    await lab.drain()
  }
  assert.deepEqual(lab.lines, lab.written)
  assert.equal(lab.gaps, 0)
  context.diagnostic(`${inodes.size} inode numbers in ${rotations} rotations`)
  await lab.close()
})

for (const how of ['create', 'copytruncate', 'compress'] as const) {
  test(`FileSource, down for 1 to 8 rotations (${how}): reads them all, oldest first`, async () => {
    for (let count = 1; count <= 8; count++) {
      const lab = new LogLab()
      lab.write(3)
      await lab.open()
      await lab.drain()
      for (let rotation = 0; rotation < count; rotation++) {
        lab.write(3)
        lab.rotate(how)
      }
      lab.write(3)
      await lab.restart()
      await lab.drain()
      assert.deepEqual(lab.lines, lab.written, `${count} rotations`)
      assert.equal(lab.gaps, 0)
      await lab.close()
    }
  })
}
