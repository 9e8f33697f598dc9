import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { MemoryFileSystem } from '../../test/support/memory-file-system.ts'
import { SlotFile } from './slot-file.ts'

const path = 'dir/cursor'
const open = (disk: MemoryFileSystem) => SlotFile.open(path, 100, disk.files)
const textOf = (slots: SlotFile) => slots.value?.toString()

/** A file in which the given texts were written, one after the other. */
async function diskWith(...texts: string[]): Promise<MemoryFileSystem> {
  const disk = new MemoryFileSystem()
  const slots = await open(disk)
  for (const text of texts) {
    await slots.write(Buffer.from(text))
    await slots.sync()
  }
  await slots.close()
  return disk
}

describe('SlotFile', () => {
  it('has what was written last, after a restart, however often that was', async () => {
    for (let count = 0; count < 6; count++) {
      const texts = Array.from({ length: count }, (_, i) => `value ${i}`)
      const slots = await open(await diskWith(...texts))
      assert.equal(textOf(slots), texts.at(-1))
      assert.equal(slots.isDamaged, false)
    }
  })

  it('is written in place: a disk without space takes it', async () => {
    const disk = await diskWith('one')
    const slots = await open(disk)
    const size = disk.get(path)!.length
    disk.fault = operation => (operation === 'create' || operation === 'rename' ? 'ENOSPC' : undefined)
    for (const text of ['two', 'three', 'x'.repeat(4_000)]) {
      await slots.write(Buffer.from(text))
      await slots.sync()
      assert.equal(textOf(await open(disk.survive())), text)
    }
    assert.equal(disk.get(path)!.length, size)
    assert.deepEqual(disk.paths(), [path])
  })

  it('has the value before when a slot is damaged, whatever bit it is', async () => {
    const good = (await diskWith('old', 'new')).get(path)!
    const newest = good.indexOf('new')
    for (let bit = (newest - 16) * 8; bit < (newest + 3) * 8; bit++) {
      const disk = new MemoryFileSystem()
      const flipped = Buffer.from(good)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      disk.set(path, flipped)
      const slots = await open(disk)
      assert.equal(textOf(slots), 'old')
      await slots.write(Buffer.from('next'))
      assert.equal(textOf(await open(disk.survive())), 'next')
    }
  })

  it('knows a file without anything good in it, and makes it anew', async () => {
    const good = (await diskWith('old', 'new')).get(path)!
    const damaged = [Buffer.alloc(0), Buffer.alloc(good.length), Buffer.from('nonsense'), good.subarray(0, 10)]
    for (const bytes of damaged) {
      const disk = new MemoryFileSystem()
      disk.set(path, bytes)
      const slots = await open(disk)
      assert.equal(slots.value, undefined)
      assert.equal(slots.isDamaged, true)
      await slots.write(Buffer.from('next'))
      await slots.write(Buffer.from('and next'))
      assert.equal(textOf(await open(disk.survive())), 'and next')
    }
  })

  it('goes on from every length that it was cut to', async () => {
    const good = (await diskWith('one', 'two', 'three')).get(path)!
    for (let length = 0; length < good.length; length += length < 64 ? 1 : 61) {
      const disk = new MemoryFileSystem()
      disk.set(path, good.subarray(0, length))
      const slots = await open(disk)
      assert.equal(slots.isDamaged, slots.value === undefined)
      await slots.write(Buffer.from('next'))
      assert.equal(textOf(await open(disk.survive())), 'next')
    }
  })

  it('grows for a value that is longer than its slots; where there is no space the value before stays', async () => {
    const disk = await diskWith('short')
    const slots = await open(disk)
    const long = 'x'.repeat(10_000)
    for (const broken of ['create', 'write', 'datasync', 'rename', 'syncDirectory'] as const) {
      disk.fault = operation => (operation === broken ? 'ENOSPC' : undefined)
      await assert.rejects(slots.write(Buffer.from(long)), /ENOSPC/)
      disk.fault = () => undefined
      await slots.write(Buffer.from('short again'))
      assert.equal(textOf(await open(disk.survive())), 'short again', broken)
    }
    await slots.write(Buffer.from(long))
    assert.equal(textOf(await open(disk.survive())), long)
    await slots.write(Buffer.from('short'))
    assert.equal(textOf(await open(disk.survive())), 'short')
    await assert.rejects(slots.write(Buffer.alloc(2 << 20)), RangeError)
  })

  it('says that a file can not be read, and what is open is closed', async () => {
    const disk = await diskWith('one')
    for (const operation of ['open', 'read'] as const) {
      disk.fault = what => (what === operation ? 'EIO' : undefined)
      await assert.rejects(open(disk), /EIO/)
    }
    await disk.files.unlink(path)
    assert.equal(disk.unlinkedBytes, 0)
  })

  it('keeps the newest synced value or a newer one through every crash and fault', async () => {
    const step = fc.record({
      length: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 4_000, max: 9_000 })),
      fails: fc.option(
        fc.constantFrom('write' as const, 'datasync' as const, 'rename' as const, 'syncDirectory' as const),
        { nil: undefined },
      ),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.integer(), async (steps, seed) => {
        const disk = new MemoryFileSystem()
        const slots = await open(disk)
        let safe = -1
        for (const [number, { length, fails }] of steps.entries()) {
          disk.fault = operation => (operation === fails ? 'EIO' : undefined)
          try {
            await slots.write(Buffer.from(`${number} ${'.'.repeat(length)}`))
            await slots.sync()
            safe = number
          } catch {
            // The value before stays.
          }
        }
        let state = seed >>> 0
        const random = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
        const found = Number(textOf(await open(disk.crash(random)))?.split(' ')[0] ?? -1)
        assert.ok(found >= safe, `${found} of ${safe}`)
      }),
      { numRuns: 300 },
    )
  })
})
