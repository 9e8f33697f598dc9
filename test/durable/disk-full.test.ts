/** The log on a disk that is really full: a small tmpfs, which only root can mount. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SegmentLog, SegmentLogFull } from '../../lib/durable/segment-log.ts'

let dir = ''
let isMounted = false
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mta-full-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir], { stdio: 'ignore' })
    isMounted = true
  } catch {
    // Not root, or in a container that may not mount.
  }
})
after(async () => {
  if (isMounted) execFileSync('umount', [dir])
  await rm(dir, { recursive: true, force: true })
})

describe('SegmentLog, on a full disk', () => {
  it('refuses, keeps what it has, releases without space and goes on', async t => {
    if (!isMounted) {
      t.skip('mounting a tmpfs needs root')
      return
    }
    const options = { dir: join(dir, 'log'), bytesMax: 100e6, segmentBytes: 100_000 }
    let log = await SegmentLog.open(options)
    const texts: string[] = []
    await assert.rejects(async () => {
      for (;;) {
        const text = `${texts.length} ${'x'.repeat(5_000)}`
        await log.append(Buffer.from(text))
        texts.push(text)
      }
    }, SegmentLogFull)
    // The last byte is taken too, as by another program.
    await writeFile(join(dir, 'filler'), Buffer.alloc(1 << 20)).catch(() => undefined)
    await assert.rejects(log.append(Buffer.from('more')), SegmentLogFull)
    const readAll = async () => (await log.read(0, 1e9)).map(({ payload }) => payload.toString())
    assert.deepEqual(await readAll(), texts)
    // What is there is found again on the full disk, also where a killed process left its lock.
    await log.close()
    await symlink('99999999 1@2', join(options.dir, 'lock'))
    await writeFile(join(dir, 'filler'), Buffer.alloc(1 << 20)).catch(() => undefined)
    log = await SegmentLog.open(options)
    assert.deepEqual(await readAll(), texts)
    const empty = await SegmentLog.open({ ...options, dir: join(dir, 'new') })
    await assert.rejects(empty.append(Buffer.from('no room')), SegmentLogFull)
    await empty.close()
    await log.release(log.firstSeq + 49)
    await log.append(Buffer.from('there is room again'))
    assert.deepEqual(await readAll(), [...texts.slice(50), 'there is room again'])
    await log.close()
  })
})
