import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

interface HeapMb {
  /** Of the space where objects are born, after much was and some of it lived for a while; it is there twice. */
  readonly nursery: number
  /** Of the whole heap, and of buffers, at most. */
  readonly peak: number
  readonly buffers: number
}

function heapMb(preamble: string): HeapMb {
  const program = `${preamble}
    import { getHeapSpaceStatistics } from 'node:v8'
    const nurseryMb = () => {
      const space = getHeapSpaceStatistics().find(space => space.space_name === 'new_space')
      return (space.space_used_size + space.space_available_size) / 1e6
    }
    const kept = []
    let [peak, buffers] = [0, 0]
    for (let number = 0; number < 4e6; number++) {
      kept[number % 50_000] = { number, more: [number] }
      if (number % 20 === 0) kept[number % 50_000].buffer = Buffer.allocUnsafeSlow(4096)
      if (number % 1000 !== 0) continue
      const { heapTotal, arrayBuffers } = process.memoryUsage()
      peak = Math.max(peak, heapTotal)
      buffers = Math.max(buffers, arrayBuffers)
    }
    console.log(JSON.stringify({ nursery: nurseryMb(), peak: peak / 1e6, buffers: buffers / 1e6 }))`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  // V8 writes there what it thinks of flags.
  assert.equal(stderr, '')
  return JSON.parse(stdout) as HeapMb
}

const usual = heapMb('')

for (const nurseryMb of [1, 2]) {
  test(`the heap stays small with ${nurseryMb} MiB for what is born, also in the version of V8 at hand`, () => {
    const small = heapMb(`
      import { keepHeapSmall } from ${JSON.stringify(new URL('small-heap.ts', import.meta.url).href)}
      keepHeapSmall({ growthPercent: 10, triggerPercent: 25, withBuffers: true, nurseryMb: ${nurseryMb} })`)
    const facts = JSON.stringify({ small, usual })
    // It still grows a little now and then, by how much the machine's other work delays a collection.
    assert.ok(small.nursery > nurseryMb * 0.9 && small.nursery <= usual.nursery / 2, facts)
    assert.ok(small.peak < usual.peak, facts)
  })
}
