/** The log against every state that a crash or a fault can leave, on files in memory. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { StartError } from '../process/start-error.ts'
import { MemoryFileSystem } from '../../test/support/memory-file-system.ts'
import { SegmentLog, SegmentLogFull, type Damage } from './segment-log.ts'

const dir = 'log'
const lock = async () => ({ release: async () => undefined })

function open(disk: MemoryFileSystem, onDamage: (damage: Damage) => void = () => undefined) {
  return SegmentLog.open({ dir, bytesMax: 1e6, segmentBytes: 400, files: disk.files, lock, onDamage })
}

/** Tries again where a file can't be read, as those who use a log do. */
async function readAll(log: SegmentLog): Promise<string[]> {
  const texts: string[] = []
  for (let after = 0, failures = 0; ;) {
    let records
    try {
      records = await log.read(after, 500)
    } catch (error) {
      if (++failures > 5) throw error
      continue
    }
    if (records.length === 0) return texts
    for (const { payload } of records) texts.push(payload.toString())
    after = records.at(-1)!.seq
  }
}

/** A log of `count` records in one segment, as bytes. */
async function segmentOf(count: number): Promise<{ bytes: Buffer; texts: string[]; ends: number[] }> {
  const disk = new MemoryFileSystem()
  const log = await SegmentLog.open({ dir, bytesMax: 1e6, files: disk.files, lock })
  const texts = Array.from({ length: count }, (_, i) => `record ${i} ${'x'.repeat(i % 7)}`)
  const ends = [0]
  for (const text of texts) {
    await log.append(Buffer.from(text))
    ends.push(log.bytes)
  }
  return { bytes: disk.get(firstSegment)!, texts, ends }
}

const firstSegment = `${dir}/0000000000000001.segment`

describe('SegmentLog, after a crash', () => {
  it('has every whole record and nothing else, wherever a write was torn', async () => {
    const { bytes, texts, ends } = await segmentOf(30)
    for (let length = 0; length <= bytes.length; length++) {
      const whole = texts.slice(0, ends.filter(end => end > 0 && end <= length).length)
      for (const tail of [0, 64]) {
        const disk = new MemoryFileSystem()
        disk.set(firstSegment, Buffer.concat([bytes.subarray(0, length), Buffer.alloc(tail)]))
        const damages: Damage[] = []
        const log = await open(disk, damage => damages.push(damage))
        assert.deepEqual(await readAll(log), whole)
        // A cut through a record followed by zeros can't be told from a record that was damaged; it may be reported.
        if (tail === 0) assert.deepEqual(damages, [])
        // Nor can zeros alone from records that were confirmed and that the disk lost.
        else if (ends.includes(length)) assert.match(damages[0]?.reason ?? '', /^ends in zeros/)
        await log.append(Buffer.from('next'))
        assert.deepEqual(await readAll(log), [...whole, 'next'])
        await log.close()
      }
    }
  })

  it('has the records before the damage and goes on, whatever bit is wrong', async () => {
    const { bytes, texts, ends } = await segmentOf(25)
    for (let bit = 0; bit < bytes.length * 8; bit += 3) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const whole = texts.slice(
        0,
        ends.findLastIndex(end => end <= bit >> 3),
      )
      const disk = new MemoryFileSystem()
      disk.set(firstSegment, flipped)
      const log = await open(disk)
      assert.deepEqual(await readAll(log), whole)
      await log.append(Buffer.from('next'))
      assert.deepEqual(await readAll(log), [...whole, 'next'])
    }
  })

  it('loses the rest of a damaged segment in the middle only, keeps it aside and counts it', async () => {
    const disk = new MemoryFileSystem()
    let log = await open(disk)
    const texts = Array.from({ length: 40 }, (_, i) => `record number ${i}`)
    for (const text of texts) await log.append(Buffer.from(text))
    const segments = disk.paths().filter(path => path.endsWith('.segment'))
    assert.ok(segments.length > 3)
    const firstOf = (path: string) => Number(/\d+/.exec(path)![0])
    const [, second = '', third = ''] = segments
    disk.get(second)![40]! ^= 1
    const damages: Damage[] = []
    log = await open(disk, damage => damages.push(damage))
    const lost = texts.slice(firstOf(second), firstOf(third) - 1)
    assert.deepEqual(
      await readAll(log),
      texts.filter(text => !lost.includes(text)),
    )
    assert.equal(damages.length, 1)
    assert.equal(damages[0]?.recordsMissing, lost.length)
    assert.ok(disk.get(damages[0]?.savedAs ?? ''))
  })

  it('keeps what was acknowledged through every sequence of appends, releases, faults and crashes', async () => {
    const action = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 6 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('release' as const),
          share: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), seed: fc.integer() }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('fault' as const),
          operations: fc.subarray(
            ['open', 'read', 'write', 'datasync', 'create', 'syncDirectory', 'truncate', 'unlink'],
            { minLength: 1 },
          ),
          code: fc.constantFrom('ENOSPC' as const, 'EIO' as const),
          times: fc.integer({ min: 1, max: 3 }),
        }),
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async actions => {
        let disk = new MemoryFileSystem()
        let log = await open(disk)
        let made = 0
        let newestSeq = 0
        const hasFaults = actions.some(step => step.do === 'fault')
        /** Acknowledged and not released, in order. */
        let kept: string[] = []
        const released = new Set<string>()
        const rejected = new Set<string>()
        const check = async () => {
          const texts = await readAll(log)
          assert.equal(new Set(texts).size, texts.length, 'nothing comes twice')
          const expected = texts.filter(text => !released.has(text) && !rejected.has(text))
          assert.deepEqual(expected, kept, 'what was acknowledged is there, in order')
        }
        const restart = async (next: MemoryFileSystem) => {
          disk = next
          log = await open(disk)
        }
        for (const step of actions) {
          if (step.do === 'append') {
            const texts = Array.from({ length: step.count }, () => `record ${made++} ${'.'.repeat(made % 50)}`)
            await Promise.all(
              texts.map(async text => {
                try {
                  const seq = await log.append(Buffer.from(text))
                  if (!hasFaults) assert.ok(seq > newestSeq, 'no sequence is given twice')
                  newestSeq = seq
                  kept.push(text)
                } catch (error) {
                  if (error instanceof assert.AssertionError) throw error
                  rejected.add(text)
                }
              }),
            )
          } else if (step.do === 'release') {
            const records = await log.read(0, 1e6).catch(() => [])
            const last = records[Math.floor(step.share * records.length) - 1]
            if (!last) continue
            await log.release(last.seq)
            for (const { seq, payload } of records) if (seq <= last.seq) released.add(payload.toString())
            kept = kept.filter(text => !released.has(text))
          } else if (step.do === 'fault') {
            let left = step.times
            disk.fault = operation => (step.operations.includes(operation) && left-- > 0 ? step.code : undefined)
          } else {
            let state = step.do === 'crash' ? step.seed >>> 0 : 0
            const random = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
            if (step.do === 'reopen') {
              disk.fault = () => undefined
              await log.close()
            }
            await restart(step.do === 'crash' ? disk.crash(random) : disk.survive())
          }
          await check()
        }
        // Without a power failure what was released stays released.
        if (!actions.some(step => step.do === 'crash' || step.do === 'fault')) {
          await restart(disk.survive())
          assert.deepEqual(await readAll(log), kept)
        }
      }),
      { numRuns: 400 },
    )
  })
})

describe('SegmentLog, on a disk that fails', () => {
  it('reports damage that it meets once, passes it, and appends elsewhere', async () => {
    for (const damagedRecord of [1, 6, 10]) {
      const disk = new MemoryFileSystem()
      const damages: Damage[] = []
      const log = await open(disk, damage => damages.push(damage))
      for (let i = 1; i <= 10; i++) await log.append(Buffer.from(`record ${i % 10}`))
      disk.get(firstSegment)![(damagedRecord - 1) * 24 + 20]! ^= 1
      const good = Array.from({ length: damagedRecord - 1 }, (_, i) => `record ${i + 1}`)
      assert.deepEqual(await readAll(log), good)
      await log.append(Buffer.from('fresh'))
      assert.deepEqual(await readAll(log), [...good, 'fresh'])
      assert.deepEqual(
        damages.map(({ file, recordsMissing }) => ({ file, recordsMissing })),
        [{ file: firstSegment, recordsMissing: 11 - damagedRecord }],
      )
      assert.equal(disk.get(damages[0]!.savedAs ?? '')?.length, (11 - damagedRecord) * 24)
      await log.release(11)
      assert.equal(log.firstSeq, 12)
      assert.deepEqual(await readAll(log), [])
      assert.equal(disk.get(firstSegment), undefined)
      assert.equal(disk.unlinkedBytes, 0)
    }
  })

  it('takes a file that somebody removed for lost, but not one whose whole folder is away', async () => {
    const disk = new MemoryFileSystem()
    const damages: Damage[] = []
    const log = await open(disk, damage => damages.push(damage))
    const texts = Array.from({ length: 40 }, (_, i) => `record number ${i}`)
    for (const text of texts) await log.append(Buffer.from(text))
    const [first = '', second = '', third = ''] = disk.paths().filter(path => path.endsWith('.segment'))
    const names = disk.paths()
    const contents = names.map(path => disk.get(path)!)
    for (const path of names) await disk.files.unlink(path)
    await assert.rejects(log.read(0, 1e6), /ENOENT/)
    for (const [index, path] of names.entries()) if (path !== second) disk.set(path, contents[index]!)
    const [from, to] = [second, third].map(path => Number(/\d+/.exec(path)![0]) - 1)
    assert.deepEqual(await readAll(log), [...texts.slice(0, from), ...texts.slice(to)])
    assert.deepEqual(
      damages.map(({ file, recordsMissing }) => ({ file, recordsMissing })),
      [{ file: second, recordsMissing: to! - from! }],
    )
    assert.ok(disk.get(first))
  })

  it('has nothing left when all but the damage was released, also after a restart', async () => {
    for (const damagedRecord of [1, 6]) {
      const disk = new MemoryFileSystem()
      const log = await open(disk)
      for (let i = 0; i < 10; i++) await log.append(Buffer.from(`record ${i}`))
      disk.get(firstSegment)![(damagedRecord - 1) * 24 + 20]! ^= 1
      await log.release((await log.read(0, 1e6)).at(-1)?.seq ?? 0)
      assert.equal(log.firstSeq, 11)
      const damages: Damage[] = []
      const again = await open(disk.survive(), damage => damages.push(damage))
      assert.equal(again.firstSeq, 11)
      assert.equal(await again.append(Buffer.from('next')), 11)
      assert.deepEqual(damages, [])
    }
  })

  it('waits for a file that can not be read at the moment, and gives up nothing', async () => {
    for (const operation of ['open', 'read'] as const) {
      const disk = new MemoryFileSystem()
      const damages: Damage[] = []
      const log = await open(disk, damage => damages.push(damage))
      const texts = Array.from({ length: 40 }, (_, i) => `record number ${i}`)
      for (const text of texts) await log.append(Buffer.from(text))
      disk.fault = what => (what === operation ? 'EMFILE' : undefined)
      await assert.rejects(log.read(0, 1e6), /0000000000000001\.segment can't be read \(EMFILE\)/)
      // What came before it is not held back.
      const [, , third = ''] = disk.paths().filter(path => path.endsWith('.segment'))
      disk.fault = (what, path) => (what === operation && path === third ? 'EIO' : undefined)
      const before = await log.read(0, 1e6)
      assert.equal(before.length, Number(/\d+/.exec(third)![0]) - 1)
      await log.release(before.at(-1)!.seq)
      await assert.rejects(log.read(0, 1e6), /EIO/)
      disk.fault = () => undefined
      assert.deepEqual(await readAll(log), texts.slice(before.length))
      assert.deepEqual(damages, [])
      await log.close()
    }
  })

  it('does not start, and changes nothing, while a file can not be read', async () => {
    const disk = new MemoryFileSystem()
    const texts = Array.from({ length: 40 }, (_, i) => `record number ${i}`)
    const first = await open(disk)
    for (const text of texts) await first.append(Buffer.from(text))
    await first.release(3)
    const content = () => disk.paths().map(path => [path, disk.get(path)!.toString('hex')])
    const before = content()
    const segment = disk.paths().filter(path => path.endsWith('.segment'))[2]!
    for (const [broken, code] of [
      [segment, 'EMFILE'],
      [segment, 'EIO'],
      [`${dir}/released`, 'EMFILE'],
    ] as const) {
      for (const operation of ['open', 'read'] as const) {
        disk.fault = (what, path) => (what === operation && path === broken ? code : undefined)
        await assert.rejects(
          open(disk),
          (error: unknown) =>
            error instanceof StartError && error.message.startsWith(`${broken} can't be read (${code}): mend that`),
        )
        assert.deepEqual(content(), before)
      }
    }
    disk.fault = () => undefined
    const damages: Damage[] = []
    assert.deepEqual(await readAll(await open(disk, damage => damages.push(damage))), texts.slice(3))
    assert.deepEqual(damages, [])
  })

  it('rejects what a full disk does not take, and takes it again when there is room', async () => {
    const disk = new MemoryFileSystem()
    const log = await open(disk)
    await log.append(Buffer.from('before'))
    disk.fault = operation => (operation === 'write' || operation === 'create' ? 'ENOSPC' : undefined)
    await assert.rejects(log.append(Buffer.from('lost')), SegmentLogFull)
    await assert.rejects(log.append(Buffer.from('lost too')), SegmentLogFull)
    // What is done with can be released all the same.
    await log.release(1)
    assert.equal((await log.read(0, 1e6)).length, 0)
    disk.fault = () => undefined
    await log.append(Buffer.from('after'))
    assert.deepEqual(await readAll(log), ['after'])
    assert.deepEqual(await readAll(await open(disk.survive())), ['after'])
  })

  it('gives all space back once everything was read and released, though nothing is read any more', async () => {
    const disk = new MemoryFileSystem()
    const log = await open(disk)
    for (let i = 0; i < 40; i++) await log.append(Buffer.from(`record ${i} ${'x'.repeat(50)}`))
    while (log.firstSeq <= log.lastSeq) await log.release((await log.read(0, 500)).at(-1)!.seq)
    assert.ok(log.bytes <= 100)
    assert.equal(disk.unlinkedBytes, 0)
    await log.close()
  })

  it('takes an append on a full disk by giving up a file of which all is released', async () => {
    const disk = new MemoryFileSystem()
    const log = await open(disk)
    await log.append(Buffer.from('done with'))
    await log.release(1)
    assert.ok(log.bytes > 0, 'a short file is kept for the next append')
    disk.fault = operation => (operation === 'write' && disk.get(firstSegment) ? 'ENOSPC' : undefined)
    await log.append(Buffer.from('fits when that is gone'))
    assert.deepEqual(await readAll(log), ['fits when that is gone'])
  })

  it('does not trust a file again whose fdatasync failed once, and stores what waited elsewhere', async () => {
    const disk = new MemoryFileSystem()
    const log = await open(disk)
    await log.append(Buffer.from('before'))
    let failures = 0
    disk.fault = operation => (operation === 'datasync' && failures++ === 0 ? 'EIO' : undefined)
    await Promise.all([log.append(Buffer.from('first')), log.append(Buffer.from('second'))])
    assert.equal(failures, 2)
    assert.deepEqual(await readAll(log), ['before', 'first', 'second'])
    assert.equal(disk.paths().filter(path => path.endsWith('.segment')).length, 2)
    assert.deepEqual(await readAll(await open(disk.crash(() => 0))), ['before', 'first', 'second'])
  })
})
