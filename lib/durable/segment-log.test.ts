import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
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
})
