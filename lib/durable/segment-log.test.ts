import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { MemoryFileSystem } from '../../test/support/memory-file-system.ts'
import type { FileSystem } from './file-system.ts'
import { SegmentLog, SegmentLogFull } from './segment-log.ts'

async function withFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'mta-log-'))
  try {
    await run(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

describe('SegmentLog', () => {
  it('gives records back in order over many segments and a restart, without the released ones', () =>
    withFolder(async dir => {
      const options = { dir, bytesMax: 1e6, segmentBytes: 500 }
      let log = await SegmentLog.open(options)
      const seqs = await Promise.all(Array.from({ length: 50 }, (_, i) => log.append(Buffer.from(`record ${i}`))))
      assert.deepEqual(
        seqs,
        Array.from({ length: 50 }, (_, i) => i + 1),
      )
      for (let i = 50; i < 100; i++) await log.append(Buffer.from(`record ${i}`))
      await log.release(42)
      await log.close()
      log = await SegmentLog.open(options)
      const seen: string[] = []
      for (let after = 0; ;) {
        const records = await log.read(after, 60)
        if (records.length === 0) break
        for (const { payload } of records) seen.push(payload.toString())
        after = records.at(-1)!.seq
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 58 }, (_, i) => `record ${i + 42}`),
      )
      await log.close()
    }))

  it('rejects with SegmentLogFull at bytesMax and takes records again after a release', () =>
    withFolder(async dir => {
      const log = await SegmentLog.open({ dir, bytesMax: 1000, segmentBytes: 300 })
      let stored = 0
      await assert.rejects(async () => {
        for (;;) {
          await log.append(Buffer.alloc(84, 1))
          stored++
        }
      }, SegmentLogFull)
      assert.equal(stored, 10)
      await log.release(5)
      await log.append(Buffer.alloc(84, 1))
      await log.close()
    }))

  it('has room for nearly all of bytesMax again and again, however small that is', () =>
    withFolder(async dir => {
      const log = await SegmentLog.open({ dir, bytesMax: 2_000 })
      for (let round = 0; round < 5; round++) {
        let stored = 0
        try {
          for (;;) {
            await log.append(Buffer.alloc(34, 1))
            stored++
          }
        } catch (error) {
          assert.ok(error instanceof SegmentLogFull)
        }
        assert.ok(stored * 50 >= 1_750, `${stored} records in round ${round}`)
        await log.release(log.lastSeq)
        assert.ok(log.bytes <= 250)
      }
      await log.close()
    }))

  it('gives records of every size back whole, each to be kept, and reads a file into one buffer', async () => {
    const { files } = new MemoryFileSystem()
    const buffers = new Set<ArrayBufferLike>()
    const watched: FileSystem = {
      ...files,
      open: async (path, how) => {
        const file = await files.open(path, how)
        const read = (into: Buffer, position: number) => {
          if (how === 'read' && path.endsWith('.segment')) buffers.add(into.buffer)
          return file.read(into, position)
        }
        return { ...file, read }
      },
    }
    const lock = async () => ({ release: async () => undefined })
    const log = await SegmentLog.open({ dir: 'log', bytesMax: 40e6, segmentBytes: 4e6, files: watched, lock })
    // Around the 64 KiB that are read at a time, with the 16 bytes of a header.
    const sizes = [...Array.from({ length: 40 }, (_, i) => 65_500 + i), 1, 2, ...Array.from({ length: 300 }, () => 700)]
    const payloadOf = (seq: number) => Buffer.alloc(sizes[seq - 1]!, seq)
    for (const seq of sizes.keys()) await log.append(payloadOf(seq + 1))
    for (const bytesMax of [1, 10_000, 70_000, 1e7]) {
      buffers.clear()
      const records = []
      for (let after = 0; after < sizes.length; after = records.at(-1)!.seq) {
        records.push(...(await log.read(after, bytesMax)))
      }
      for (const [index, { seq, payload }] of records.entries()) {
        assert.equal(seq, index + 1)
        assert.ok(payload.equals(payloadOf(seq)), `record ${seq} of ${payload.length} bytes`)
      }
      // A larger one, where a record with its header took more than the first.
      assert.ok(buffers.size <= 2, `${buffers.size} buffers`)
    }
    await log.append(Buffer.alloc(1 << 20, 7))
    const [longest] = await log.read(sizes.length, 1)
    assert.ok(longest?.payload.equals(Buffer.alloc(1 << 20, 7)))
    await log.close()
  })
})
